import fc from 'fast-check';
import { CURRENCIES, CURRENCY_DECIMALS, fractionOf, money, ROUNDINGS, type Rounding } from '../../domain/money';
import {
  computeCharge,
  decidePrice,
  type FeeSettings,
  type LevelRule,
  noFees,
  type PriceInput,
  type RateFound,
  type Shipping,
} from '../../domain/pricing';

const same: RateFound = { value: { numerator: 1n, denominator: 1n }, text: '1', source: 'same' };
const fixed = (text: string): RateFound => {
  const value = fractionOf(text);
  if (!value) throw new Error(text);
  return { value, text, source: 'fixed' };
};
const myr = (amount: number) => money(amount, 'MYR');

describe('the charge of a push', () => {
  const lines = [
    { sku: 'A', quantity: 3, price: myr(1_250) },
    { sku: 'B', quantity: 1, price: myr(800) },
  ];
  const fees = (stockOut: FeeSettings['stockOut']): FeeSettings => ({
    stockOut,
    logistics: { amount: myr(600) },
    stockInReturn: { by: 'package', amount: myr(999) },
  });
  const perPackage = fees({ by: 'package', amount: myr(120) });
  const perQuantity = fees({ by: 'quantity', amount: myr(50) });
  const charge = (shipping: Shipping, platform: string, settings = perPackage) =>
    computeCharge({ lines, fees: settings, rate: same, settlementCurrency: 'MYR', shipping, platform });

  // The worked example of orders.md, Push.
  test.each([
    ['self_arranged', 'shopee', perPackage, 5_270],
    ['platform_logistics', 'shopee', perPackage, 4_670],
    ['self_delivery', 'temu', perPackage, 4_670],
    ['platform_logistics', 'shopee', perQuantity, 4_750],
    ['self_delivery', 'shopee', perPackage, 5_270],
    ['self_arranged', 'temu', perPackage, 4_670],
    ['three_pl', 'lazada', perPackage, 4_670],
  ] as const)('%s on %s comes to the right total', (shipping, platform, settings, total) => {
    expect(charge(shipping, platform, settings).total).toEqual(myr(total));
  });

  test('says line by line what makes it up', () => {
    expect(charge('self_arranged', 'shopee').lines).toEqual([
      { kind: 'goods', sku: 'A', quantity: 3, unit: myr(1_250), amount: myr(3_750) },
      { kind: 'goods', sku: 'B', quantity: 1, unit: myr(800), amount: myr(800) },
      { kind: 'stock_out_charge', sku: null, quantity: 1, unit: myr(120), amount: myr(120) },
      { kind: 'logistics_cost', sku: null, quantity: 1, unit: myr(600), amount: myr(600) },
    ]);
    expect(charge('platform_logistics', 'shopee', perQuantity).lines[2]).toEqual({
      kind: 'stock_out_charge',
      sku: null,
      quantity: 4,
      unit: myr(50),
      amount: myr(200),
    });
  });

  test('a supplier without confirmed fees charges the goods alone', () => {
    const bare = charge('self_arranged', 'shopee', noFees('MYR'));
    expect(bare.total).toEqual(myr(4_550));
    expect(bare.lines).toHaveLength(2);
  });

  test.each([
    // 0.50 × 0.3051 × 4 = 0.6102, 0.50 × 0.305 × 4 = 0.61; rounded before it is multiplied it were 0.60.
    ['0.3051', [4, 15, 61]],
    ['0.305', [4, 15, 61]],
    // 0.0025 a unit is less than the smallest coin, four of them are one.
    ['0.005', [4, 0, 1]],
  ] as const)('a fee line is rounded once, half up, at the rate %s', (rate, [quantity, unit, amount]) => {
    const { lines, total } = computeCharge({
      lines: [{ sku: 'A', quantity, price: money(400, 'SGD') }],
      fees: perQuantity,
      rate: fixed(rate),
      settlementCurrency: 'SGD',
      shipping: 'platform_logistics',
      platform: 'shopee',
    });
    const sgd = (minor: number) => money(minor, 'SGD');
    // The line says by which rate it came from the base currency.
    const line = { kind: 'stock_out_charge', sku: null, quantity, unit: sgd(unit), amount: sgd(amount) };
    expect(lines[1]).toEqual({ ...line, rate: { from: 'MYR', rate, source: 'fixed', fetchedAt: null } });
    expect(total).toEqual(sgd(1_600 + amount));
  });
});

const nothing = { level: null, skuPrice: { forLevel: null, forAll: null } } as const;
const level = (rule: LevelRule) => ({ id: 'lvl_1', name: 'VIP', rule });
const priceOf = (input: Partial<PriceInput>) =>
  decidePrice({
    basePrice: myr(1_000),
    ...nothing,
    settlementCurrency: 'MYR',
    rate: same,
    rounding: 'twoDecimals',
    ...input,
  });

describe('the price of a unit', () => {
  test('converts, then rounds once', () => {
    expect(priceOf({ settlementCurrency: 'SGD', rate: fixed('0.30449') })).toMatchObject({
      ok: true,
      price: money(304, 'SGD'),
      rate: { text: '0.30449', source: 'fixed' },
    });
    expect(priceOf({ settlementCurrency: 'IDR', rate: fixed('3521.75'), rounding: 'up' })).toMatchObject({
      price: money(35_218, 'IDR'),
    });
  });

  test('without a base price or a rate there is a reason and no price of 0', () => {
    expect(priceOf({ basePrice: null })).toMatchObject({ ok: false, reason: 'price_missing' });
    expect(priceOf({ settlementCurrency: 'SGD', rate: null })).toMatchObject({
      ok: false,
      reason: 'exchange_rate_missing',
    });
  });

  test.each([
    [{ rate: fixed('999999999999'), settlementCurrency: 'VND' }],
    [{ basePrice: myr(99_999_999_999_999), level: level({ kind: 'percentOfBase', percent: '999999' }) }],
  ] as const)('too large to be counted exactly it is none, with the reason: %#', (input) => {
    const decision = priceOf({ basePrice: myr(99_999_999_999_999), ...input });
    expect(decision).toMatchObject({ ok: false, reason: 'price_missing' });
    expect(decision.steps.at(-1)).toMatchObject({ step: 'rounding', used: false, amount: null });
  });

  test('a charge that can not be counted exactly is refused', () => {
    const lines = [{ sku: 'A', quantity: 1_000_000_000, price: myr(99_999_999_999_999) }];
    const terms = { fees: noFees('MYR'), rate: same, settlementCurrency: 'MYR', platform: 'shopee' } as const;
    expect(() => computeCharge({ lines, ...terms, shipping: 'three_pl' })).toThrow('too large');
  });

  test.each([
    [{ kind: 'percentOfBase', percent: '80' }, 800],
    [{ kind: 'percentOfBase', percent: '33.335' }, 333],
    [{ kind: 'basePlusPercent', percent: '12.5' }, 1_125],
    [{ kind: 'basePlusAmount', amount: myr(250) }, 1_250],
    [{ kind: 'basePlusAmount', amount: myr(-250) }, 750],
    [{ kind: 'basePlusAmount', amount: myr(-2_500) }, 0],
  ] as const)('level %j makes of 10.00 %d', (rule, amount) => {
    expect(priceOf({ level: level(rule) })).toMatchObject({ ok: true, price: myr(amount) });
  });

  test('a level’s amount in another currency than the base price is no price', () => {
    const rule = { kind: 'basePlusAmount', amount: money(100, 'SGD') } as const;
    expect(priceOf({ level: level(rule) })).toMatchObject({ ok: false, reason: 'price_missing' });
  });

  // catalogue.md: SKU price for the level, SKU price for all levels, level rule.
  test.each([
    [500, 600, 1_000, 500],
    [null, 600, 1_000, 600],
    [null, null, 1_000, 800],
    [500, null, null, 500],
    [null, 600, null, 600],
    [0, 600, 1_000, 0],
    [null, null, null, null],
  ])('with SKU prices %p and %p and base price %p it is %p', (forLevel, forAll, base, price) => {
    const of = (amount: number | null) => (amount === null ? null : myr(amount));
    const decision = priceOf({
      basePrice: of(base),
      skuPrice: { forLevel: of(forLevel), forAll: of(forAll) },
      level: level({ kind: 'percentOfBase', percent: '80' }),
    });
    if (price === null) expect(decision).toMatchObject({ ok: false, reason: 'price_missing' });
    else expect(decision).toMatchObject({ ok: true, price: myr(price) });
  });

  test('without a level the base price counts, or the SKU price for all levels', () => {
    expect(priceOf({})).toMatchObject({ price: myr(1_000) });
    expect(priceOf({ skuPrice: { forLevel: null, forAll: myr(700) } })).toMatchObject({ price: myr(700) });
  });

  test('says each step, with what it came to exactly', () => {
    const decision = priceOf({
      basePrice: myr(125),
      level: level({ kind: 'percentOfBase', percent: '33' }),
      settlementCurrency: 'SGD',
      rate: fixed('0.305'),
    });
    expect(decision.steps.map(({ step, used, amount, currency }) => [step, used, amount, currency])).toEqual([
      ['sku_price_for_level', false, null, null],
      ['sku_price_for_all', false, null, null],
      ['base_price', true, '1.25', 'MYR'],
      ['level_rule', true, '0.4125', 'MYR'],
      ['conversion', true, '0.1258125', 'SGD'],
      ['rounding', true, '0.13', 'SGD'],
    ]);
    const fixedPrice = priceOf({ skuPrice: { forLevel: null, forAll: myr(700) } });
    expect(fixedPrice.steps.filter(({ used }) => used).map(({ step }) => step)).toEqual([
      'sku_price_for_all',
      'conversion',
      'rounding',
    ]);
  });

  // Against integers alone: percent in hundredths, rate in millionths, so that nothing of the code is used.
  test('is exact and never below 0, whatever the numbers; two roundings differ by at most 1.00', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 10_000_000 }),
        fc.integer({ min: 0, max: 50_000 }),
        fc.integer({ min: 1, max: 5_000_000 }),
        fc.constantFrom(...CURRENCIES),
        (base, hundredths, millionths, settlementCurrency) => {
          const percent = `${Math.floor(hundredths / 100)}.${String(hundredths % 100).padStart(2, '0')}`;
          const rate = `${Math.floor(millionths / 1_000_000)}.${String(millionths % 1_000_000).padStart(6, '0')}`;
          const exact = BigInt(base) * BigInt(hundredths) * BigInt(millionths); // × 10^-12
          const one = 10n ** 12n;
          const decimals = CURRENCY_DECIMALS[settlementCurrency];
          const scale = BigInt(10 ** decimals);
          const halfUp = (value: bigint, unit: bigint) => (2n * value + unit) / (2n * unit);
          const wanted: Record<Rounding, bigint> = {
            up: ((exact + one - 1n) / one) * scale,
            down: (exact / one) * scale,
            standard: halfUp(exact, one) * scale,
            twoDecimals: halfUp(exact * scale, one),
          };
          const got = ROUNDINGS.map((rounding) => {
            const decision = priceOf({
              basePrice: myr(base),
              level: level({ kind: 'percentOfBase', percent }),
              settlementCurrency,
              rate: fixed(rate),
              rounding,
            });
            if (!decision.ok) throw new Error(decision.reason);
            expect(decision.price.amount).toBe(Number(wanted[rounding]));
            return decision.price.amount;
          });
          expect(Math.min(...got)).toBeGreaterThanOrEqual(0);
          expect(Math.max(...got) - Math.min(...got)).toBeLessThanOrEqual(Number(scale));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
