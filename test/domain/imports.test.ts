import { createHash } from 'node:crypto';
import fc from 'fast-check';
import { lineOf, skuCode } from '../../api/schemas/values';
import {
  createDuplicateFinder,
  escapeFormula,
  formatComponents,
  parseComponents,
  parsePriceRow,
  parseSkuRow,
  readHeader,
  skuCodeProblem,
  skuNameProblem,
  unescapeFormula,
} from '../../domain/imports';

const anyText = fc.oneof(fc.string({ unit: 'binary' }), fc.string(), fc.constantFrom('', ' ', ' a', "'=", '\t'));

test('a code or a name that a file may hold is one that the API takes', () => {
  fc.assert(
    fc.property(anyText, (text) => {
      expect(skuCodeProblem(text) === null).toBe(skuCode.safeParse(text).success);
      expect(skuNameProblem(text) === null).toBe(lineOf(300).safeParse(text).success);
    }),
    { numRuns: 2_000 },
  );
});

test('escaping is undone exactly, and nothing that is written begins a formula', () => {
  const formulas = fc
    .tuple(fc.constantFrom('=', '+', '-', '@', '\t', "'", "''=", "'a"), anyText)
    .map((two) => two.join(''));
  fc.assert(
    fc.property(fc.oneof(anyText, formulas), (text) => {
      expect(unescapeFormula(escapeFormula(text))).toBe(text);
      expect(escapeFormula(text)).not.toMatch(/^[=+\-@\t\r]/);
    }),
  );
});

test('components are written so that they can be read, whatever the codes', () => {
  const code = fc.string({ minLength: 1, maxLength: 20 }).filter((text) => skuCodeProblem(text) === null);
  const component = fc.record({ sku: code, quantity: fc.integer({ min: 1, max: 10_000 }) });
  fc.assert(
    fc.property(fc.uniqueArray(component, { minLength: 1, maxLength: 5, selector: ({ sku }) => sku }), (components) => {
      expect(parseComponents(formatComponents(components))).toEqual({ ok: true, components });
    }),
  );
  for (const text of ['A', 'A*', 'A*0', 'A*1;A*2', '*2', 'A*1.5', ';', 'A*10001'])
    expect([text, parseComponents(text).ok]).toEqual([text, false]);
});

test('a header in any order and case; everything that is wrong with it at once', () => {
  const read = readHeader('prices', ['Price', 'LEVEL', ' sku ', '']);
  expect(read.ok && [...read.places]).toEqual([
    ['price', 0],
    ['level', 1],
    ['sku', 2],
  ]);
  expect(readHeader('skus', ['names', 'sku', 'sku'])).toEqual({
    ok: false,
    detail: 'missing: name; unknown: names; twice: sku. Columns are sku, name, kind, components, distribution',
  });
});

test('all that is wrong with a row is told', () => {
  const row = { sku: '', name: ' ', kind: 'set', components: 'x', distribution: 'perhaps' };
  const parsed = parseSkuRow(3, row);
  expect(parsed.ok ? [] : parsed.errors.map(({ column, code }) => [column, code])).toEqual([
    ['sku', 'required'],
    ['name', 'required'],
    ['kind', 'invalid_value'],
    ['components', 'invalid_value'],
    ['distribution', 'invalid_value'],
  ]);
});

test.each([
  ['12.5', 1250],
  ['12.500', 1250],
  ['0', 0],
  ['', null],
  ['12.505', 'wrong'],
  ['1,5', 'wrong'],
  ['1.000,00', 'wrong'],
  ['-1', 'wrong'],
  ['1e3', 'wrong'],
])('the price %j is %j', (basePrice, amount) => {
  const parsed = parsePriceRow(2, { sku: 'A', basePrice }, 'MYR');
  expect(parsed.ok ? parsed.row.basePrice : 'wrong').toBe(amount);
});

test('the last of two rows for the same cell is found, also where codes are long', () => {
  const digest = (text: string) => createHash('sha256').update(text).digest('base64');
  const finder = createDuplicateFinder('prices', digest);
  const long = 'L'.repeat(90);
  const check = (line: number, sku: string, level = '', basePrice: number | null = null) =>
    finder.check({ line, sku, level, basePrice })?.detail ?? null;
  expect(check(2, 'A', '', 100)).toBeNull();
  expect(check(3, 'A', 'VIP', 100)).toBeNull();
  expect(check(4, 'A', 'GOLD', 101)).toBe('line 2 gives A another base price');
  expect(check(5, 'A', 'VIP')).toBe('line 3 is for A, level VIP already');
  // Without a price it is no cell of a SKU price.
  expect(finder.check({ line: 9, sku: 'B', level: '', basePrice: 800, price: null })).toBeNull();
  expect(finder.check({ line: 10, sku: 'B', level: '', basePrice: null, price: 5 })).toBeNull();
  expect(finder.check({ line: 11, sku: 'B', level: '', basePrice: null, price: 6 })?.detail).toMatch(/^line 10/);
  expect(check(6, long)).toBeNull();
  expect(check(7, `${long}x`)).toBeNull();
  expect(check(8, long)).toMatch(/^line 6/);
});
