import { fractionOf, money } from '../../domain/money';
import {
  computeCharge,
  decidePrice,
  type FeeSettings,
  noFees,
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

  test('a fee is converted and rounded half up before it is multiplied', () => {
    const inSgd = computeCharge({
      lines: [{ sku: 'A', quantity: 3, price: money(400, 'SGD') }],
      fees: perQuantity,
      rate: fixed('0.3051'),
      settlementCurrency: 'SGD',
      shipping: 'platform_logistics',
      platform: 'shopee',
    });
    // 0.50 × 0.3051 = 0.15255 → 0.15, three times.
    expect(inSgd.total).toEqual(money(1_200 + 45, 'SGD'));
  });
});

describe('the price of a unit', () => {
  test('converts, then rounds once', () => {
    expect(
      decidePrice({
        basePrice: myr(1_000),
        settlementCurrency: 'SGD',
        rate: fixed('0.30449'),
        rounding: 'twoDecimals',
      }),
    ).toEqual({ ok: true, price: money(304, 'SGD'), rate: '0.30449', source: 'fixed' });
    expect(
      decidePrice({ basePrice: myr(1_000), settlementCurrency: 'IDR', rate: fixed('3521.75'), rounding: 'up' }),
    ).toMatchObject({ price: money(35_218, 'IDR') });
  });

  test('without a base price or a rate there is a reason and no price of 0', () => {
    expect(decidePrice({ basePrice: null, settlementCurrency: 'MYR', rate: same, rounding: 'up' })).toEqual({
      ok: false,
      reason: 'price_missing',
    });
    expect(decidePrice({ basePrice: myr(1), settlementCurrency: 'SGD', rate: null, rounding: 'up' })).toEqual({
      ok: false,
      reason: 'exchange_rate_missing',
    });
  });
});
