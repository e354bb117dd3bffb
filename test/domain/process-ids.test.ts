import fc from 'fast-check';
import {
  claimLaneId,
  mirrorLaneId,
  operationIdOf,
  orderPushId,
  orderRecallId,
  PROCESSES,
  type ProcessKind,
  parseProcessId,
  processId,
  storeLaneId,
  supplyOrderProcessId,
} from '../../domain/process-ids';

const kinds = Object.keys(PROCESSES) as ProcessKind[];
const part = fc.oneof(
  fc.string({ unit: 'grapheme', minLength: 1, maxLength: 20 }),
  fc.constantFrom('a/b', '100%', '%2F', '..', 'a.b', 'ä', '订单', '🙂', 'a b', '?x=1#y'),
);

test('an id is taken apart into what it was built from, whatever the parts hold', () => {
  fc.assert(
    fc.property(fc.constantFrom(...kinds), fc.array(part, { minLength: 3, maxLength: 3 }), (kind, values) => {
      const parts = Object.fromEntries(PROCESSES[kind].map((name, index) => [name, values[index] ?? '']));
      const id = processId(kind, parts as never);
      expect(parseProcessId(id)).toEqual({ kind, parts });
      expect(id.split('/')).toHaveLength(1 + PROCESSES[kind].length);
    }),
    { numRuns: process.env.LONG === '1' ? 20_000 : 1_000 },
  );
});

test('two different sets of parts never build one id', () => {
  fc.assert(
    fc.property(part, part, part, part, (a, b, c, d) => {
      const [one, other] = [
        processId('order-intake', { store: a, platformOrder: b }),
        processId('order-intake', { store: c, platformOrder: d }),
      ];
      expect(one === other).toBe(a === c && b === d);
    }),
  );
});

test.each([
  [orderPushId('pkg_1', 2), 'order-push/pkg_1/2'],
  [orderRecallId('pkg_1', 2), 'order-recall/pkg_1/2'],
  [supplyOrderProcessId('pkg_1'), 'supply-order/pkg_1'],
  [storeLaneId('store_1'), 'store-lane/store_1'],
  [mirrorLaneId('pship_1'), 'mirror-lane/pship_1'],
  [claimLaneId('acct_1'), 'claim-lane/acct_1'],
  [processId('order-intake', { store: 's', platformOrder: 'A/../B' }), 'order-intake/s/A%2F..%2FB'],
])('%s reads as the contract says', (id, expected) => {
  expect(id).toBe(expected);
});

test.each(['', 'nothing', 'order-push', 'order-push/pkg_1', 'order-push/a/b/c', 'toString/a', 'store-lane/%E0%A4%A'])(
  '%p is none of ours',
  (id) => {
    expect(parseProcessId(id)).toBeNull();
  },
);

test('an operation’s id stands in a URL’s path', () => {
  expect(operationIdOf(orderPushId('pkg_1', 1))).toBe('order-push.pkg_1.1');
});
