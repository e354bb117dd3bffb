import { matchLines, renameLines } from '../../domain/order-lines';

const line = (name: string, sku: string | null, quantity: number) => ({ line: name, sku, quantity });
const matched = (...args: Parameters<typeof matchLines>) => Object.fromEntries(matchLines(...args));

describe('lines of an order that its platform tells of later', () => {
  test('are matched by SKU where the quantities agree, whichever way they are split', () => {
    const ours = [line('1', 'A', 2), line('2', 'B', 1), line('3', 'A', 1)];
    const theirs = [line('p1', 'B', 1), line('p2', 'A', 1), line('p3', 'A', 2)];
    expect(matched(ours, theirs)).toEqual({
      1: [
        { line: 'p2', quantity: 1 },
        { line: 'p3', quantity: 1 },
      ],
      2: [{ line: 'p1', quantity: 1 }],
      3: [{ line: 'p3', quantity: 1 }],
    });
  });

  test('whose quantities differ are left as they are', () => {
    expect(matched([line('1', 'A', 2)], [line('p1', 'A', 3)])).toEqual({});
  });

  test('that are not mapped there are matched by quantity, where only one SKU is left', () => {
    const theirs = [line('p1', 'A', 1), line('p2', null, 1), line('p3', null, 1)];
    expect(matched([line('1', 'A', 1), line('2', 'B', 2)], theirs)).toEqual({
      1: [{ line: 'p1', quantity: 1 }],
      2: [
        { line: 'p2', quantity: 1 },
        { line: 'p3', quantity: 1 },
      ],
    });
    expect(matched([line('1', 'C', 1), line('2', 'B', 1)], theirs.slice(1))).toEqual({});
  });

  test('are renamed with their components, and what comes under one id is one line', () => {
    const ours = [line('1', 'SET', 2), line('2', 'A', 1), line('3', 'A', 1)];
    const parts = matchLines(ours, [line('p1', 'SET', 1), line('p2', 'SET', 1), line('p3', 'A', 2)]);
    const lines = [
      { ...line('1#X', 'X', 6), sku: 'X', price: 5 },
      { ...line('2', 'A', 1), sku: 'A', price: 7 },
      { ...line('3', 'A', 1), sku: 'A', price: 7 },
      { ...line('gift', 'G', 1), sku: 'G', price: 0 },
    ];
    expect(renameLines(lines, ours, parts)).toEqual([
      { line: 'p1#X', sku: 'X', quantity: 3, price: 5 },
      { line: 'p2#X', sku: 'X', quantity: 3, price: 5 },
      { line: 'p3', sku: 'A', quantity: 2, price: 7 },
      { line: 'gift', sku: 'G', quantity: 1, price: 0 },
    ]);
  });
});
