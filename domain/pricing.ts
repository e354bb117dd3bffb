/** What a distributor pays for a distribution product. Contract: catalogue.md, Distribution price. */
import {
  type Currency,
  type Fraction,
  type Money,
  multiply,
  type Rounding,
  roundToCurrency,
  roundUnits,
  units,
} from './money';

/** One fixed rate of the supplier's: 1 unit of `from` is `rate` units of `to`. Not inverted. */
export interface ExchangeRate {
  readonly from: Currency;
  readonly to: Currency;
  /** An exact decimal string. */
  readonly rate: string;
}

export interface PriceInput {
  readonly basePrice: Money | null;
  readonly settlementCurrency: Currency;
  readonly rate: RateFound | null;
  readonly rounding: Rounding;
}

/** A rate with where it came from; the base currency itself has the rate 1 from `same`. */
export interface RateFound {
  readonly value: Fraction;
  readonly text: string;
  readonly source: 'same' | 'fixed';
}

export type PriceDecision =
  | { readonly ok: true; readonly price: Money; readonly rate: string; readonly source: RateFound['source'] }
  | { readonly ok: false; readonly reason: 'price_missing' | 'exchange_rate_missing' };

/** The price of one unit in the settlement currency, or why there is none. Never a price of 0 for want of a rate. */
export function decidePrice(input: PriceInput): PriceDecision {
  if (input.basePrice === null) return { ok: false, reason: 'price_missing' };
  if (input.rate === null) return { ok: false, reason: 'exchange_rate_missing' };
  const converted = multiply(units(input.basePrice), input.rate.value);
  return {
    ok: true,
    price: roundUnits(converted, input.rounding, input.settlementCurrency),
    rate: input.rate.text,
    source: input.rate.source,
  };
}

/** What the two fees are in the supplier's base currency; catalogue.md, Fees. */
export interface FeeSettings {
  readonly stockOut: { readonly by: 'package' | 'quantity'; readonly amount: Money };
  readonly logistics: { readonly amount: Money };
  readonly stockInReturn: { readonly by: 'package' | 'quantity'; readonly amount: Money };
}

/** What a supplier who confirmed no fees charges: nothing. */
export function noFees(baseCurrency: Currency): FeeSettings {
  const amount: Money = { amount: 0, currency: baseCurrency };
  return { stockOut: { by: 'package', amount }, logistics: { amount }, stockInReturn: { by: 'package', amount } };
}

export const SHIPPING_KINDS = ['platform_logistics', 'three_pl', 'self_delivery', 'self_arranged'] as const;
export type Shipping = (typeof SHIPPING_KINDS)[number];

export interface ChargeLine {
  readonly kind: 'goods' | 'stock_out_charge' | 'logistics_cost';
  readonly sku: string | null;
  readonly quantity: number;
  readonly unit: Money;
  readonly amount: Money;
}

/** What one push costs, line by line. */
export interface Charge {
  readonly lines: readonly ChargeLine[];
  readonly total: Money;
}

/**
 * charge = Σ quantity × price + stock-out shipping charge + logistics cost (orders.md, Push).
 * Logistics is charged with Self-Arranged or Self-Delivery shipping, on every platform but Temu. Each fee is converted
 * and rounded half up to the settlement currency's decimals.
 */
export function computeCharge(input: {
  readonly lines: readonly { readonly sku: string; readonly quantity: number; readonly price: Money }[];
  readonly fees: FeeSettings;
  readonly rate: RateFound;
  readonly settlementCurrency: Currency;
  readonly shipping: Shipping;
  readonly platform: string;
}): Charge {
  const currency = input.settlementCurrency;
  const lines: ChargeLine[] = input.lines.map((line) => ({
    kind: 'goods',
    sku: line.sku,
    quantity: line.quantity,
    unit: line.price,
    amount: { amount: line.price.amount * line.quantity, currency },
  }));
  const inSettlement = (fee: Money) => roundToCurrency(multiply(units(fee), input.rate.value), currency);
  const stockOutCount =
    input.fees.stockOut.by === 'package' ? 1 : input.lines.reduce((sum, line) => sum + line.quantity, 0);
  const fees: [ChargeLine['kind'], Money, number][] = [
    ['stock_out_charge', inSettlement(input.fees.stockOut.amount), stockOutCount],
  ];
  const selfMoved = input.shipping === 'self_delivery' || input.shipping === 'self_arranged';
  if (selfMoved && input.platform !== 'temu')
    fees.push(['logistics_cost', inSettlement(input.fees.logistics.amount), 1]);
  for (const [kind, unit, quantity] of fees)
    if (unit.amount !== 0)
      lines.push({ kind, sku: null, quantity, unit, amount: { amount: unit.amount * quantity, currency } });
  return { lines, total: { amount: lines.reduce((sum, line) => sum + line.amount.amount, 0), currency } };
}
