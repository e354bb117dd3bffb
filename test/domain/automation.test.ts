import fc from 'fast-check';
import {
  type AllocationRule,
  autoMoves,
  type Conditions,
  chooseCarrier,
  choosePacking,
  chooseWarehouse,
  followedTo,
  type GiftRule,
  giftsOf,
  holds,
  inForce,
  isGiftLine,
  type MarkRule,
  marksOf,
  namesIn,
  ORDER_GIFTS_MOST,
  type OrderFacts,
  type PackRule,
  settingsProblems,
} from '../../domain/automation';
import { SUPPLY_ORDER_MOVES, SUPPLY_ORDER_STATUSES } from '../../domain/supply-orders';

const facts = (change: Partial<OrderFacts> = {}): OrderFacts => ({
  store: 'store_1',
  partnership: 'pship_1',
  sourceStore: 'BigShop – My shop',
  warehouse: 'wh_1',
  platform: 'shopee',
  shipping: 'self_delivery',
  lines: [
    { sku: 'A', quantity: 2 },
    { sku: 'B', quantity: 3 },
  ],
  amount: { amount: 1_000, currency: 'MYR' },
  ...change,
});
const head = { name: 'rule', enabled: true, priority: 1 };
const money = (amount: number, currency: 'MYR' | 'SGD' = 'MYR') => ({ amount, currency });

describe('conditions', () => {
  test.each<[string, Conditions, boolean]>([
    ['none', {}, true],
    ['its store', { stores: ['store_9', 'store_1'] }, true],
    ['another store', { stores: ['store_9'] }, false],
    ['its platform', { platforms: ['shopee'] }, true],
    ['another platform', { platforms: ['lazada'] }, false],
    ['another shipping', { shippings: ['three_pl'] }, false],
    ['another warehouse', { warehouses: ['wh_2'] }, false],
    ['another partnership', { partnerships: ['pship_2'] }, false],
    ['another source store', { sourceStores: ['BigShop – Other'] }, false],
    ['any of the SKUs', { skus: { match: 'any', skus: ['A', 'C'] } }, true],
    ['none of the SKUs', { skus: { match: 'any', skus: ['C', 'a'] } }, false],
    ['not all of the lines', { skus: { match: 'all', skus: ['A', 'C'] } }, false],
    ['all of the lines', { skus: { match: 'all', skus: ['A', 'B', 'C'] } }, true],
    ['units of all', { quantity: { atLeast: 5, atMost: 5 } }, true],
    ['too few units', { quantity: { atLeast: 6 } }, false],
    ['too many units', { quantity: { atMost: 4 } }, false],
    ['units of those named', { skus: { match: 'any', skus: ['A'] }, quantity: { atMost: 2 } }, true],
    ['too few units of those named', { skus: { match: 'any', skus: ['A'] }, quantity: { atLeast: 3 } }, false],
    ['the amount, on the edge', { amount: { atLeast: money(1_000), atMost: money(1_000) } }, true],
    ['too little', { amount: { atLeast: money(1_001) } }, false],
    ['too much', { amount: { atMost: money(999) } }, false],
    ['an amount in another currency', { amount: { atLeast: money(1, 'SGD') } }, false],
    ['one of two', { stores: ['store_1'], platforms: ['lazada'] }, false],
  ])('%s', (_, conditions, expected) => expect(holds(conditions, facts())).toBe(expected));

  test('an amount that is not known fits no bound, and an order without lines names no SKU', () => {
    expect(holds({ amount: { atMost: money(9) } }, facts({ amount: null }))).toBe(false);
    expect(holds({ skus: { match: 'all', skus: ['A'] } }, facts({ lines: [] }))).toBe(false);
  });
});

const priorities = fc.uniqueArray(fc.integer({ min: 1, max: 1_000 }), { minLength: 1, maxLength: 12 });
const ruleOf = <More extends object>(more: fc.Arbitrary<More>) =>
  priorities.chain((of) =>
    fc.tuple(
      ...of.map((priority) =>
        fc.record({ enabled: fc.boolean(), matches: fc.boolean(), more }).map(({ enabled, matches, more: rest }) => ({
          name: `r${priority}`,
          priority,
          enabled,
          conditions: (matches ? {} : { stores: ['store_9'] }) as Conditions,
          ...rest,
        })),
      ),
    ),
  );

describe('which rule counts', () => {
  test('those in force are the enabled, whatever their order was', () => {
    fc.assert(
      fc.property(ruleOf(fc.constant({})), fc.func(fc.integer()), (rules, key) => {
        const shuffled = [...rules].sort((a, b) => key(a.name) - key(b.name));
        const kept = inForce(shuffled);
        expect(kept).toEqual(inForce(rules));
        expect(kept.map(({ priority }) => priority)).toEqual(
          rules.flatMap(({ enabled, priority }) => (enabled ? [priority] : [])).sort((a, b) => a - b),
        );
      }),
    );
  });

  const places = ['wh_1', 'wh_2', 'wh_3', 'wh_4'];
  const allocationRules = ruleOf(
    fc.record({
      warehouses: fc.uniqueArray(fc.constantFrom(...places, 'wh_gone'), { minLength: 1 }),
      strict: fc.boolean(),
    }),
  );
  test('a warehouse is chosen by the first rule that matches and names one there is; nothing is taken that is not there', () => {
    fc.assert(
      fc.property(allocationRules, fc.subarray(places), fc.subarray(places), (rules, there, full) => {
        const hasEnough = (place: string) => full.includes(place);
        const chosen = chooseWarehouse({ rules: rules as AllocationRule[], facts: facts(), places: there, hasEnough });
        const first = inForce(rules).find(
          ({ conditions, warehouses }) =>
            conditions.stores === undefined && warehouses.some((one) => there.includes(one)),
        );
        if (there.length === 0) expect(chosen.place).toBeNull();
        else expect(there).toContain(chosen.place);
        expect(chosen.enough).toBe(chosen.place !== null && hasEnough(chosen.place));
        const named = (first?.warehouses ?? []).filter((one) => there.includes(one));
        if (first?.strict) expect(named).toContain(chosen.place);
        // Whoever could be served is served, unless a strict rule forbids it.
        if (!first?.strict && there.some(hasEnough)) expect(chosen.enough).toBe(true);
        if (named.some(hasEnough)) expect(chosen).toMatchObject({ place: named.find(hasEnough), rule: first?.name });
        // Without a rule the choice is the fixed one.
        if (!first) expect(chosen).toMatchObject({ place: there.find(hasEnough) ?? there[0] ?? null, rule: null });
      }),
    );
  });

  const markRules = ruleOf(
    fc.record({
      of: fc.constantFrom('orders' as const, 'supply_orders' as const),
      tags: fc.uniqueArray(fc.constantFrom('a', 'b', 'c', 'd')),
      marketing: fc.boolean(),
    }),
  );
  test('all matching rules mark, each its own kind, and a supply order is never a marketing order', () => {
    fc.assert(
      fc.property(markRules, fc.constantFrom('orders' as const, 'supply_orders' as const), (rules, of) => {
        const matching = rules.filter((one) => one.enabled && one.of === of && one.conditions.stores === undefined);
        const { tags, marketing } = marksOf(rules as MarkRule[], of, facts());
        expect([...tags].sort()).toEqual([...new Set(matching.flatMap((one) => one.tags))].sort());
        expect(marketing).toBe(of === 'orders' && matching.some((one) => one.marketing));
      }),
    );
  });

  const giftRules = ruleOf(
    fc.record({
      gifts: fc.array(fc.record({ sku: fc.constantFrom('G', 'H'), quantity: fc.integer({ min: 1, max: 9 }) }), {
        minLength: 1,
        maxLength: 5,
      }),
      per: fc.constantFrom('order' as const, 'unit' as const),
    }),
  );
  test('gifts come from all matching rules, with lines of their own, and have an end', () => {
    fc.assert(
      fc.property(giftRules, (rules) => {
        const given = giftsOf(rules as GiftRule[], facts());
        const matching = inForce(rules).filter(({ conditions }) => conditions.stores === undefined);
        const expected = matching.flatMap(({ gifts, per }) =>
          gifts.map(({ sku, quantity }) => ({ sku, quantity: quantity * (per === 'unit' ? 5 : 1) })),
        );
        expect(given.map(({ sku, quantity }) => ({ sku, quantity }))).toEqual(expected.slice(0, ORDER_GIFTS_MOST));
        expect(new Set(given.map(({ line }) => line)).size).toBe(given.length);
        expect(given.every(({ line }) => isGiftLine(line))).toBe(true);
      }),
    );
  });

  test('a gift per unit counts the SKUs that its conditions name', () => {
    const rule: GiftRule = {
      ...head,
      conditions: { skus: { match: 'any', skus: ['B'] } },
      gifts: [{ sku: 'G', quantity: 2 }],
      per: 'unit',
    };
    expect(giftsOf([rule], facts())).toMatchObject([{ sku: 'G', quantity: 6, rule: 'rule' }]);
  });
});

describe('the carrier', () => {
  const rule = (of: 'self_delivery' | 'three_pl', carrier: string, change = {}) => ({
    ...{ ...head, name: carrier },
    ...{ of, carrier, conditions: {}, ...change },
  });
  const rules = [rule('self_delivery', 'PosLaju', { priority: 2 }), rule('three_pl', 'Ninja', { priority: 1 })];
  const choose = (change: Partial<Parameters<typeof chooseCarrier>[1]> = {}) =>
    chooseCarrier(rules, { ...facts(), supplierArranges: true, outside: false, ...change })?.carrier ?? null;

  test('is chosen for Self-Delivery that the supplier arranges; in a warehouse of others by the rules for those', () => {
    expect(choose()).toBe('PosLaju');
    expect(choose({ shipping: 'self_arranged' })).toBeNull();
    expect(choose({ supplierArranges: false })).toBeNull();
    expect(choose({ outside: true })).toBe('Ninja');
    expect(choose({ outside: true, supplierArranges: false })).toBeNull();
    expect(chooseCarrier([], { ...facts(), supplierArranges: true, outside: false })).toBeNull();
  });
});

describe('packing', () => {
  const pack = (change: Partial<PackRule>, of: Partial<OrderFacts & { carrier: string | null }> = {}) =>
    choosePacking([{ ...head, stores: { kind: 'all_bigshop' }, ...change }], { ...facts(), carrier: null, ...of });
  const list = (partnership: string, sourceStore?: string): PackRule['stores'] => ({
    kind: 'list',
    stores: [{ partnership, sourceStore }],
  });

  test('takes all BigShop orders, whatever their shipping, as such that arrange themselves', () => {
    for (const shipping of ['platform_logistics', 'three_pl', 'self_delivery', 'self_arranged'] as const)
      expect(pack({}, { shipping })).toEqual({ rule: 'rule', countsAs: 'self_arranged' });
    expect(pack({ warehouses: ['wh_2'] })).toBeNull();
    expect(pack({ enabled: false })).toBeNull();
  });

  test('takes those of the stores, warehouses and carriers named', () => {
    expect(pack({ stores: list('pship_1') })).toEqual({ rule: 'rule', countsAs: 'self_delivery' });
    expect(pack({ stores: list('pship_2') })).toBeNull();
    expect(pack({ stores: list('pship_1', 'BigShop – My shop') })).not.toBeNull();
    expect(pack({ stores: list('pship_1', 'BigShop – Other') })).toBeNull();
    expect(pack({ stores: list('pship_1'), shippings: ['three_pl'] })).toBeNull();
    expect(pack({ stores: list('pship_1'), carriers: ['PosLaju'] })).toBeNull();
    expect(pack({ stores: list('pship_1'), carriers: ['PosLaju'] }, { carrier: 'PosLaju' })).not.toBeNull();
  });
});

describe('what is done by itself', () => {
  test.each([
    ['unpaid', false, null],
    ['ready_to_ship', false, null],
    ['ready_to_ship', true, 'to_pickup'],
    ['shipped', false, 'shipped'],
    ['completed', false, 'shipped'],
    ['cancel_requested', true, null],
    ['cancelled', true, null],
  ])('an order that is %s (awaits pickup: %s) is followed to %s', (state, awaitsPickup, expected) =>
    expect(followedTo({ state, awaitsPickup })).toBe(expected),
  );

  test('moves lead one step at a time from where it is to where it is to be, and never back', () => {
    for (const status of SUPPLY_ORDER_STATUSES)
      for (const follow of ['to_pickup', 'shipped', null] as const)
        for (const pack of [{ rule: 'r', countsAs: 'self_arranged' as const }, null]) {
          const moves = autoMoves(status, null, { pack, follow });
          if (moves === 'wait') throw new Error('nothing to wait for');
          let at: string = status;
          for (const move of moves) {
            expect(SUPPLY_ORDER_MOVES[move].from).toBe(at);
            at = SUPPLY_ORDER_MOVES[move].to;
          }
          const target = follow ?? (pack ? 'packed' : status);
          const isBehind =
            ['new', 'packed', 'to_pickup'].includes(status) &&
            SUPPLY_ORDER_STATUSES.indexOf(status) < SUPPLY_ORDER_STATUSES.indexOf(target as 'new');
          expect(at).toBe(isBehind ? target : status);
        }
  });

  test('one that is being recalled waits, unless it has left', () => {
    const pack = { rule: 'r', countsAs: 'self_arranged' as const };
    expect(autoMoves('new', 'open', { pack, follow: null })).toBe('wait');
    expect(autoMoves('packed', 'open', { pack: null, follow: 'to_pickup' })).toBe('wait');
    expect(autoMoves('packed', 'open', { pack: null, follow: 'shipped' })).toEqual(['ready', 'ship']);
    expect(autoMoves('packed', 'warehouse', { pack: null, follow: 'shipped' })).toBe('wait');
    expect(autoMoves('packed', 'open', { pack, follow: null })).toEqual([]);
  });
});

test('everything that is wrong with settings is told at once, with its place', () => {
  const mark = (change: Partial<MarkRule>): MarkRule => ({
    ...{ ...head, of: 'supply_orders', conditions: {}, tags: ['t'], marketing: false },
    ...change,
  });
  const rules = [
    mark({ name: 'a', marketing: true }),
    mark({ name: 'a', priority: 1, conditions: { stores: ['s'], quantity: { atLeast: 2, atMost: 1 } } }),
    mark({ name: 'b', priority: 2, of: 'orders', tags: [], conditions: { warehouses: ['w'] } }),
    mark({ name: 'c', priority: 3, conditions: { amount: { atLeast: money(1), atMost: money(2, 'SGD') } } }),
  ];
  expect(settingsProblems('mark-rules', { rules }).map(({ pointer, code }) => `${pointer} ${code}`)).toEqual([
    '/rules/1/priority priority_taken',
    '/rules/1/name name_taken',
    '/rules/0/marketing not_for_supply_orders',
    '/rules/1/conditions/stores not_for_supply_orders',
    '/rules/1/conditions/quantity range_empty',
    '/rules/2/conditions/warehouses not_for_orders',
    '/rules/2/tags marks_nothing',
    '/rules/3/conditions/amount currency_mismatch',
  ]);
  const packing: PackRule = { ...head, stores: { kind: 'all_bigshop' }, carriers: ['x'], shippings: ['three_pl'] };
  expect(settingsProblems('auto-pack', { rules: [packing] }).map(({ code }) => code)).toEqual([
    'carrier_choice_disabled',
    'carrier_choice_disabled',
  ]);
  const gift: GiftRule = { ...head, conditions: {}, gifts: [{ sku: 'G', quantity: 1 }], per: 'unit' };
  expect(settingsProblems('gift-rules', { rules: [gift] })).toMatchObject([
    { pointer: '/rules/0/per', code: 'skus_required' },
  ]);
  expect(settingsProblems('auto-tool', { enabled: true })).toEqual([]);
  expect(namesIn('gift-rules', { rules: [gift] })).toEqual([
    { what: 'sku', pointer: '/rules/0/gifts/0/sku', name: 'G' },
  ]);
});
