/** What a distributor pays for a distribution product, and why. Contract: catalogue.md, Distribution price. */
import {
  add,
  type Currency,
  decimalOf,
  type Fraction,
  fractionOf,
  type Money,
  money,
  multiply,
  plus,
  type Rounding,
  roundToCurrency,
  roundUnits,
  times,
  units,
} from './money';

/** One fixed rate of the supplier's: 1 unit of `from` is `rate` units of `to`. Not inverted. */
export interface ExchangeRate {
  readonly from: Currency;
  readonly to: Currency;
  /** An exact decimal string. */
  readonly rate: string;
}

/** At most this many levels per supplier. */
export const LEVEL_LIMIT = 10;

/** How a level's price follows from the base price. Percents are exact decimal strings: "80" is 80 %. */
export type LevelRule =
  | { readonly kind: 'percentOfBase'; readonly percent: string }
  | { readonly kind: 'basePlusPercent'; readonly percent: string }
  /** May be negative. */
  | { readonly kind: 'basePlusAmount'; readonly amount: Money };

export interface PriceInput {
  readonly basePrice: Money | null;
  /** The distributor's level; null: the base price counts. */
  readonly level: { readonly id: string; readonly name: string; readonly rule: LevelRule } | null;
  /** Fixed amounts in the base currency, for the distributor's level and for all levels. */
  readonly skuPrice: { readonly forLevel: Money | null; readonly forAll: Money | null };
  readonly settlementCurrency: Currency;
  readonly rate: RateFound | null;
  readonly rounding: Rounding;
}

export const RATE_SOURCES = ['same', 'fixed', 'live'] as const;

/** A rate with where it came from; the base currency itself has the rate 1 from `same`. */
export interface RateFound {
  readonly value: Fraction;
  readonly text: string;
  readonly source: (typeof RATE_SOURCES)[number];
  /** When a live rate was fetched, epoch ms. */
  readonly fetchedAt?: number;
}

export const PRICE_STEPS = [
  'sku_price_for_level',
  'sku_price_for_all',
  'base_price',
  'level_rule',
  'conversion',
  'rounding',
] as const;

/** One step of a price, in the order they are taken. */
export interface PriceStep {
  readonly step: (typeof PRICE_STEPS)[number];
  /** The price comes through it. */
  readonly used: boolean;
  /** What it came to, exact and not rounded; null where there is nothing. */
  readonly amount: string | null;
  readonly currency: Currency | null;
  readonly detail: string;
}

export type PriceReason = 'price_missing' | 'exchange_rate_missing';

export type PriceDecision = { readonly steps: readonly PriceStep[] } & (
  | { readonly ok: true; readonly price: Money; readonly rate: RateFound }
  /** `missing`: all that there would have to be; `reason` is the first of it. */
  | { readonly ok: false; readonly reason: PriceReason; readonly missing: readonly PriceReason[] }
);

/** What has no price in the base currency. */
export const NO_PRICE = { reason: 'price_missing', missing: ['price_missing'] } as const;
export const NO_RATE = 'exchange_rate_missing' as const;

/** In whole units of the settlement currency. What comes to more, by a slip in a rate or a percent, is no price. */
const LARGEST_PRICE = 1_000_000_000_000n;

const exceeds = ({ numerator, denominator }: Fraction, most: bigint) => numerator > most * denominator;

const percentOf = (text: string): Fraction =>
  multiply(fractionOf(text) ?? { numerator: 0n, denominator: 1n }, { numerator: 1n, denominator: 100n });

/** What a level makes of a base price, exact; null where its amount is in another currency than the base price. */
function applyLevel(rule: LevelRule, base: Money): Fraction | null {
  const value = units(base);
  if (rule.kind === 'percentOfBase') return multiply(value, percentOf(rule.percent));
  if (rule.kind === 'basePlusPercent') return plus(value, multiply(value, percentOf(rule.percent)));
  return rule.amount.currency === base.currency ? plus(value, units(rule.amount)) : null;
}

/** A level's rule in words. */
function describeLevelRule(rule: LevelRule): string {
  if (rule.kind === 'percentOfBase') return `${rule.percent} % of the base price`;
  if (rule.kind === 'basePlusPercent') return `base price plus ${rule.percent} %`;
  const { amount, currency } = rule.amount;
  return `base price ${amount < 0 ? 'minus' : 'plus'} ${decimalOf(units({ amount: Math.abs(amount), currency }))} ${currency}`;
}

/** The price in the base currency by the order of precedence, with every step that was looked at. */
function unconverted({ basePrice, level, skuPrice }: PriceInput): { value: Fraction | null; steps: PriceStep[] } {
  const steps: PriceStep[] = [];
  let value: Fraction | null = null;
  const look = (step: PriceStep['step'], amount: Money | null, found: string, missing: string, counts = true) => {
    const used = counts && value === null && amount !== null;
    steps.push({
      step,
      used,
      amount: amount === null ? null : decimalOf(units(amount)),
      currency: amount?.currency ?? null,
      detail: amount === null ? missing : found,
    });
    if (used) value = units(amount);
  };
  if (level !== null)
    look(
      'sku_price_for_level',
      skuPrice.forLevel,
      `SKU price for the level ${level.name}`,
      `No SKU price for the level ${level.name}`,
    );
  look('sku_price_for_all', skuPrice.forAll, 'SKU price for all levels', 'No SKU price for all levels');
  const isFixed = value !== null;
  look('base_price', basePrice, 'Base price', 'No base price');
  if (level === null || isFixed) return { value, steps };
  const levelled = basePrice === null ? null : applyLevel(level.rule, basePrice);
  steps.push({
    step: 'level_rule',
    used: levelled !== null,
    amount: levelled === null ? null : decimalOf(levelled),
    currency: basePrice?.currency ?? null,
    detail: `Level ${level.name}: ${describeLevelRule(level.rule)}${
      basePrice !== null && levelled === null ? ', which is not the base currency' : ''
    }`,
  });
  return { value: levelled, steps };
}

const SOURCE_WORDS: Record<RateFound['source'], string> = {
  same: 'Base and settlement currency are the same',
  fixed: 'The supplier’s fixed rate',
  live: 'The live rate',
};

/**
 * The price of one unit in the settlement currency, or why there is none; each step of it either way. Never a price of 0
 * for want of a rate, never one too large to be counted exactly. Precedence: SKU price for the level, SKU price for all levels, the level's rule on the base price;
 * without a level the base price itself. Computed exactly, rounded once and last, never below 0.
 */
export function decidePrice(input: PriceInput): PriceDecision {
  const { value, steps } = unconverted(input);
  const { rate, rounding, settlementCurrency: currency } = input;
  if (rate === null) {
    const detail = `There is neither a fixed nor a live rate to ${currency}`;
    steps.push({ step: 'conversion', used: false, amount: null, currency, detail });
    if (value === null) return { ok: false, reason: 'price_missing', missing: [...NO_PRICE.missing, NO_RATE], steps };
    return { ok: false, reason: NO_RATE, missing: [NO_RATE], steps };
  }
  if (value === null) return { ok: false, ...NO_PRICE, steps };
  const converted = multiply(value, rate.value);
  steps.push({
    step: 'conversion',
    used: true,
    amount: decimalOf(converted),
    currency,
    detail: `${SOURCE_WORDS[rate.source]}: ${rate.text}`,
  });
  if (exceeds(converted, LARGEST_PRICE)) {
    const detail = `It is more than ${LARGEST_PRICE} ${currency}, which nothing can cost`;
    steps.push({ step: 'rounding', used: false, amount: null, currency, detail });
    return { ok: false, ...NO_PRICE, steps };
  }
  const price = roundUnits(converted, rounding, currency);
  steps.push({
    step: 'rounding',
    used: true,
    amount: decimalOf(units(price)),
    currency,
    detail: `${rounding}${converted.numerator < 0n ? ', and never below 0' : ''}`,
  });
  return { ok: true, price, rate, steps };
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

export const CHARGE_LINE_KINDS = ['goods', 'stock_out_charge', 'logistics_cost', 'stock_in_return_charge'] as const;

/** By which rate an amount in the base currency became one in the settlement currency. */
export interface LineRate {
  readonly from: Currency;
  /** An exact decimal string. */
  readonly rate: string;
  readonly source: RateFound['source'];
  /** When a live rate was fetched, epoch ms. */
  readonly fetchedAt: number | null;
}

/** What a line tells of the rate it was converted by; null where nothing was. */
export function lineRate(from: Currency, { source, text, fetchedAt }: RateFound): LineRate | null {
  return source === 'same' ? null : { from, rate: text, source, fetchedAt: fetchedAt ?? null };
}

export interface ChargeLine {
  readonly kind: (typeof CHARGE_LINE_KINDS)[number];
  readonly sku: string | null;
  readonly quantity: number;
  readonly unit: Money;
  readonly amount: Money;
  /** Null or absent where the base currency is the settlement currency. */
  readonly rate?: LineRate | null;
}

/** What one push costs, line by line. */
export interface Charge {
  readonly lines: readonly ChargeLine[];
  readonly total: Money;
}

/**
 * charge = Σ quantity × price + stock-out shipping charge + logistics cost (orders.md, Push).
 * Logistics is charged with Self-Arranged or Self-Delivery shipping, on every platform but Temu. Each fee line is
 * converted, multiplied and rounded once, half up to the settlement currency's decimals; its `unit` is for show and may,
 * rounded itself, come to something else times the quantity.
 */
export function computeCharge(input: {
  readonly lines: readonly {
    readonly sku: string;
    readonly quantity: number;
    readonly price: Money;
    readonly rate?: LineRate | null;
  }[];
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
    amount: times(line.price, line.quantity),
    ...(line.rate ? { rate: line.rate } : {}),
  }));
  const inSettlement = (fee: Money, quantity: number) =>
    roundToCurrency(
      multiply(multiply(units(fee), input.rate.value), { numerator: BigInt(quantity), denominator: 1n }),
      currency,
    );
  const stockOutCount =
    input.fees.stockOut.by === 'package' ? 1 : input.lines.reduce((sum, line) => sum + line.quantity, 0);
  const fees: [ChargeLine['kind'], Money, number][] = [['stock_out_charge', input.fees.stockOut.amount, stockOutCount]];
  const selfMoved = input.shipping === 'self_delivery' || input.shipping === 'self_arranged';
  if (selfMoved && input.platform !== 'temu') fees.push(['logistics_cost', input.fees.logistics.amount, 1]);
  for (const [kind, fee, quantity] of fees) {
    const amount = inSettlement(fee, quantity);
    const rate = lineRate(fee.currency, input.rate);
    if (amount.amount !== 0)
      lines.push({ kind, sku: null, quantity, unit: inSettlement(fee, 1), amount, ...(rate ? { rate } : {}) });
  }
  return { lines, total: lines.reduce((sum, line) => add(sum, line.amount), money(0, currency)) };
}
