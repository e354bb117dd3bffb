import fc from 'fast-check';
import {
  add,
  CURRENCIES,
  CURRENCY_DECIMALS,
  type Currency,
  formatDecimal,
  fractionOf,
  fromMoneyText,
  money,
  multiply,
  parseDecimal,
  ROUNDINGS,
  type Rounding,
  roundToCurrency,
  roundUnits,
  times,
  toMoneyText,
  units,
} from '../../domain/money';

const LONG = process.env.LONG === '1';
const runs = { numRuns: LONG ? 20_000 : 1_000 };

const minor = fc.integer({ min: -9_000_000_000_000, max: 9_000_000_000_000 });
const currency = fc.constantFrom(...CURRENCIES);
/** An exact decimal text such as "0.00372". */
const decimalText = fc
  .tuple(
    fc.bigInt({ min: 0n, max: 10n ** 9n }),
    fc.integer({ min: 0, max: 12 }),
    fc.bigInt({ min: 0n, max: 10n ** 12n }),
  )
  .map(([whole, length, part]) =>
    length === 0 ? `${whole}` : `${whole}.${part.toString().padStart(length, '0').slice(-length)}`,
  );

describe('decimal texts', () => {
  test.each([
    ['12.50', 2, 1_250],
    ['12.5', 2, 1_250],
    ['12', 2, 1_200],
    ['0.01', 2, 1],
    ['-0.05', 2, -5],
    ['12.500', 2, 1_250],
    ['1500', 0, 1_500],
    ['1500.00', 0, 1_500],
    ['-0', 2, 0],
  ])('%s with %d decimals is %d minor units', (text, decimals, expected) => {
    expect(Object.is(parseDecimal(text, decimals), expected)).toBe(true);
  });

  test.each([
    '',
    '1e3',
    '1,000',
    '12.',
    '.5',
    ' 1',
    '1 ',
    '+1',
    '0x10',
    'NaN',
    '--1',
    '12.505',
    '１',
    '99999999999999999',
  ])('%p is no amount', (text) => {
    expect(parseDecimal(text, 2)).toBeNull();
  });

  test('an amount of a currency without decimals takes none', () => {
    expect(fromMoneyText({ amount: '1500.50', currency: 'IDR' })).toBeNull();
    expect(fromMoneyText({ amount: '1500', currency: 'IDR' })).toEqual({ amount: 1_500, currency: 'IDR' });
    expect(toMoneyText({ amount: 1_500, currency: 'IDR' })).toEqual({ amount: '1500', currency: 'IDR' });
  });

  test('what is formatted is read back as it was', () => {
    fc.assert(
      fc.property(minor, fc.integer({ min: 0, max: 4 }), (amount, decimals) => {
        const text = formatDecimal(amount, decimals);
        expect(parseDecimal(text, decimals)).toBe(amount);
        expect(text).toMatch(decimals === 0 ? /^-?\d+$/ : new RegExp(`^-?\\d+\\.\\d{${decimals}}$`));
      }),
      runs,
    );
  });

  test('money texts keep their currency both ways', () => {
    fc.assert(
      fc.property(minor, currency, (amount, of) => {
        expect(fromMoneyText(toMoneyText({ amount, currency: of }))).toEqual({ amount, currency: of });
      }),
      runs,
    );
  });
});

describe('arithmetic', () => {
  test('sums and products are exact', () => {
    fc.assert(
      fc.property(minor, minor, fc.integer({ min: 0, max: 100 }), (a, b, n) => {
        const sum = add(money(a, 'MYR'), money(b, 'MYR'));
        expect(BigInt(sum.amount)).toBe(BigInt(a) + BigInt(b));
        expect(BigInt(times(money(a, 'MYR'), n).amount)).toBe(BigInt(a) * BigInt(n));
        expect(add(sum, money(-sum.amount, 'MYR')).amount).toBe(0);
      }),
      runs,
    );
  });

  test('two currencies are never added', () => {
    expect(() => add(money(1, 'MYR'), money(1, 'SGD'))).toThrow(expect.objectContaining({ code: 'currency_mismatch' }));
  });

  test.each([0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53])('%p is no amount of minor units', (amount) => {
    expect(() => money(amount, 'MYR')).toThrow(expect.objectContaining({ code: 'invalid_input' }));
  });

  test('zero has no sign', () => {
    expect(Object.is(money(-0, 'MYR').amount, 0)).toBe(true);
  });
});

describe('rounding', () => {
  const rounded = (text: string, rounding: Rounding, of: Currency = 'MYR') => {
    const value = fractionOf(text);
    if (!value) throw new Error(`${text} is no fraction`);
    return toMoneyText(roundUnits(value, rounding, of)).amount;
  };

  test.each([
    ['12.34', 'up', '13.00'],
    ['12.00', 'up', '12.00'],
    ['12.000000000000000001', 'up', '13.00'],
    ['12.99', 'down', '12.00'],
    ['12.50', 'standard', '13.00'],
    ['12.49999999999999999', 'standard', '12.00'],
    ['12.345', 'twoDecimals', '12.35'],
    ['12.3449', 'twoDecimals', '12.34'],
    ['1.005', 'twoDecimals', '1.01'],
    ['-3.2', 'up', '0.00'],
  ] as const)('%s rounded %s is %s', (text, rounding, expected) => {
    expect(rounded(text, rounding)).toBe(expected);
  });

  test('two decimals of a currency that has none are none', () => {
    expect(rounded('1500.5', 'twoDecimals', 'IDR')).toBe('1501');
  });

  test('each rounding is what an oracle of whole numbers says', () => {
    fc.assert(
      fc.property(decimalText, decimalText, fc.constantFrom(...ROUNDINGS), currency, (a, b, rounding, of) => {
        const [left, right] = [fractionOf(a), fractionOf(b)];
        if (!left || !right) throw new Error('no fraction');
        const value = multiply(left, right);
        const decimals = CURRENCY_DECIMALS[of];
        const kept = rounding === 'twoDecimals' ? Math.min(2, decimals) : 0;
        // floor(2·v·10^kept + 1) / 2 is half up; all in BigInt.
        const scaled = value.numerator * 10n ** BigInt(kept);
        const floor = scaled / value.denominator;
        const ceiling = (scaled + value.denominator - 1n) / value.denominator;
        const halfUp = (2n * scaled + value.denominator) / (2n * value.denominator);
        const steps = rounding === 'up' ? ceiling : rounding === 'down' ? floor : halfUp;
        const expected = steps * 10n ** BigInt(decimals - kept);
        if (expected > BigInt(Number.MAX_SAFE_INTEGER))
          expect(() => roundUnits(value, rounding, of)).toThrow(expect.objectContaining({ code: 'invalid_input' }));
        else expect(BigInt(roundUnits(value, rounding, of).amount)).toBe(expected);
      }),
      runs,
    );
  });

  test('two roundings of one value differ by at most one whole unit', () => {
    fc.assert(
      fc.property(
        fc.bigInt({ min: 0n, max: 10n ** 12n }),
        fc.integer({ min: 0, max: 9 }),
        fc.constantFrom(...ROUNDINGS),
        fc.constantFrom(...ROUNDINGS),
        currency,
        (numerator, places, one, other, of) => {
          const value = { numerator, denominator: 10n ** BigInt(places) };
          const difference = roundUnits(value, one, of).amount - roundUnits(value, other, of).amount;
          expect(Math.abs(difference)).toBeLessThanOrEqual(10 ** CURRENCY_DECIMALS[of]);
        },
      ),
      runs,
    );
  });

  test('a fee is rounded half up to the decimals of its currency', () => {
    const fee = multiply(units(money(120, 'MYR')), { numerator: 30125n, denominator: 100n });
    expect(roundToCurrency(fee, 'SGD')).toEqual({ amount: 36_150, currency: 'SGD' });
    expect(roundToCurrency({ numerator: 5n, denominator: 1000n }, 'MYR').amount).toBe(1);
    expect(roundToCurrency({ numerator: 49n, denominator: 10_000n }, 'MYR').amount).toBe(0);
    expect(roundToCurrency({ numerator: 3n, denominator: 2n }, 'IDR').amount).toBe(2);
  });
});
