import { PACKAGE_STATUSES } from '../../domain/orders';
import {
  decideRecall,
  packageStatusOf,
  RECALL_STATES,
  refusalOfMove,
  SUPPLY_ORDER_MOVES,
  SUPPLY_ORDER_STATUSES,
  type SupplyOrderMove,
  type SupplyOrderStatus,
  unitsBySku,
} from '../../domain/supply-orders';

const MOVES = Object.keys(SUPPLY_ORDER_MOVES) as SupplyOrderMove[];
const ALLOWED = ['new pack', 'packed ready', 'to_pickup ship', 'shipped complete'];

test.each(SUPPLY_ORDER_STATUSES.flatMap((status) => MOVES.map((move) => [status, move] as const)))(
  'a supply order that is %s: %s',
  (status, move) => {
    const refusal = refusalOfMove(status, move, null);
    if (ALLOWED.includes(`${status} ${move}`)) expect(refusal).toBeNull();
    else expect(refusal).toContain(status);
  },
);

test('a recall holds a move back only while a warehouse was asked', () => {
  const held = RECALL_STATES.filter((state) => refusalOfMove('to_pickup', 'ship', state) !== null);
  expect(held).toEqual(['warehouse']);
});

test('a package shows where its supply order is', () => {
  expect(SUPPLY_ORDER_STATUSES.map(packageStatusOf)).toEqual([
    'pushed',
    'packed',
    'to_pickup',
    'shipped',
    'completed',
    'recalled',
  ]);
});

const facts = { packageStatus: 'pushed', parked: false, supplyOrder: null, outside: false } as const;

test.each<[SupplyOrderStatus, string, string]>([
  ['new', 'succeed', 'ask_warehouse'],
  ['packed', 'ask_supplier', 'ask_warehouse'],
  ['to_pickup', 'ask_supplier', 'ask_warehouse'],
  ['shipped', 'recall_not_possible', 'recall_not_possible'],
  ['completed', 'recall_not_possible', 'recall_not_possible'],
  ['cancelled', 'recall_not_possible', 'recall_not_possible'],
])('a recall of what is %s: %s, from a 3PL’s warehouse: %s', (supplyOrder, here, there) => {
  const said = (outside: boolean) => {
    const decision = decideRecall({ ...facts, supplyOrder, outside });
    return decision.kind === 'refused' ? decision.code : decision.kind;
  };
  expect([said(false), said(true)]).toEqual([here, there]);
});

test.each(PACKAGE_STATUSES)('a recall of a package without a supply order that is %s', (packageStatus) => {
  const abandons = { kind: 'abandon_push' };
  expect(decideRecall({ ...facts, packageStatus })).toMatchObject(
    packageStatus === 'pushing' ? abandons : { kind: 'refused', code: 'not_pushed' },
  );
  expect(decideRecall({ ...facts, packageStatus, parked: true })).toEqual(abandons);
});

test('units of a SKU are added up over its lines', () => {
  const lines = [
    { sku: 'B', quantity: 1 },
    { sku: 'A', quantity: 2 },
    { sku: 'B', quantity: 3 },
  ];
  expect(unitsBySku(lines)).toEqual([
    ['A', 2],
    ['B', 4],
  ]);
});
