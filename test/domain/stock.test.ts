import fc from 'fast-check';
import { ADJUSTMENT_KINDS, adjust, available, availableSets, type StockLevels } from '../../domain/stock';

const LONG = process.env.LONG === '1';
const levels = (change: Partial<StockLevels> = {}): StockLevels => ({
  onHand: 10,
  allocated: 3,
  reserved: 2,
  inTransit: 4,
  ...change,
});

test('available is on hand without what is allocated or reserved, and never below 0', () => {
  expect(available(levels())).toBe(5);
  expect(available(levels({ onHand: 4 }))).toBe(0);
});

describe('an adjustment', () => {
  test.each([
    ['stockIn', 7, { onHand: 17 }],
    ['stockOut', 5, { onHand: 5 }],
    ['count', 5, { onHand: 5 }],
    ['count', 30, { onHand: 30 }],
    ['reserve', 5, { reserved: 7 }],
    ['unreserve', 2, { reserved: 0 }],
    ['inTransit', 9, { inTransit: 9 }],
  ] as const)('%s of %d changes one quantity', (kind, quantity, change) => {
    expect(adjust(levels(), kind, quantity)).toEqual({ ok: true, after: levels(change) });
  });

  test.each([
    ['stockOut', 6],
    ['reserve', 6],
  ] as const)('%s of more than is available is refused, saying what is', (kind, quantity) => {
    expect(adjust(levels(), kind, quantity)).toEqual({ ok: false, reason: 'insufficient_stock', available: 5 });
  });

  test.each([
    ['count', 4],
    ['unreserve', 3],
  ] as const)('%s of %d would leave a quantity below zero and is refused', (kind, quantity) => {
    expect(adjust(levels(), kind, quantity)).toMatchObject({ ok: false, reason: 'quantity_below_zero' });
  });

  test('however many follow each other, no quantity falls below 0 and what was promised stays covered', () => {
    const step = fc.tuple(fc.constantFrom(...ADJUSTMENT_KINDS), fc.nat(20));
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        let now = levels();
        for (const [kind, quantity] of steps) {
          const decision = adjust(now, kind, quantity);
          if (decision.ok) now = decision.after;
          for (const value of Object.values(now)) expect(value).toBeGreaterThanOrEqual(0);
          expect(now.onHand).toBe(now.allocated + now.reserved + available(now));
        }
      }),
      { numRuns: LONG ? 5_000 : 300 },
    );
  });
});

describe('sets of a combination', () => {
  const parts = [
    { sku: 'CUP', quantity: 2 },
    { sku: 'PLATE', quantity: 1 },
  ];
  test.each([
    [9, 7, 4],
    [9, 3, 3],
    [1, 3, 0],
    [0, 0, 0],
  ])('%d cups and %d plates make %d sets', (cups, plates, sets) => {
    expect(availableSets(parts, (sku) => (sku === 'CUP' ? cups : plates))).toBe(sets);
  });
  test('of nothing there are none', () => {
    expect(availableSets([], () => 100)).toBe(0);
  });
});
