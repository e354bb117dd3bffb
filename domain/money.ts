/**
 * Money as integer minor units of a currency. Exact everywhere: arithmetic on integers, division only through a named
 * rounding. ISO 4217 gives IDR two decimals, but nobody who trades in it quotes them, so it has none here.
 */
import { HubError } from './failures';

/** Decimals of one unit of each currency the hub settles in. */
export const CURRENCY_DECIMALS = {
  MYR: 2,
  IDR: 0,
  VND: 0,
  THB: 2,
  PHP: 2,
  SGD: 2,
  CNY: 2,
  USD: 2,
  EUR: 2,
  TWD: 0,
  BRL: 2,
} as const;
export type Currency = keyof typeof CURRENCY_DECIMALS;
export const CURRENCIES = Object.keys(CURRENCY_DECIMALS) as [Currency, ...Currency[]];

export interface Money {
  /** Integer minor units (cents where the currency has two decimals). May be negative. */
  readonly amount: number;
  readonly currency: Currency;
}

/** As the API shows it: an exact decimal string. */
export interface MoneyText {
  readonly amount: string;
  readonly currency: Currency;
}

/** An amount of minor units; refuses what a double can't hold exactly. */
export function money(amount: number, currency: Currency): Money {
  if (!Number.isSafeInteger(amount)) throw new HubError('invalid_input', 'The amount is too large');
  return { amount: amount === 0 ? 0 : amount, currency };
}

/**
 * Reads "12.50" (at most the currency's decimals; no exponent, no thousands mark).
 * @returns minor units, or null where the text is not such a number.
 */
export function parseDecimal(text: string, decimals: number): number | null {
  const match = /^(-?)(\d{1,15})(?:\.(\d+))?$/.exec(text);
  if (!match) return null;
  const [, sign, whole, fraction = ''] = match;
  if (fraction.length > decimals && /[1-9]/.test(fraction.slice(decimals))) return null;
  const minor = Number(`${whole}${fraction.slice(0, decimals).padEnd(decimals, '0')}`);
  if (!Number.isSafeInteger(minor)) return null;
  return sign === '-' && minor !== 0 ? -minor : minor;
}

/** The exact decimal string of minor units: 1250 with two decimals is "12.50". */
export function formatDecimal(minor: number, decimals: number): string {
  const digits = Math.abs(minor)
    .toString()
    .padStart(decimals + 1, '0');
  const sign = minor < 0 ? '-' : '';
  return decimals === 0 ? `${sign}${digits}` : `${sign}${digits.slice(0, -decimals)}.${digits.slice(-decimals)}`;
}

export function toMoneyText(value: Money): MoneyText {
  return { amount: formatDecimal(value.amount, CURRENCY_DECIMALS[value.currency]), currency: value.currency };
}

/** @returns null where the amount is not an exact number of the currency's smallest unit. */
export function fromMoneyText(value: MoneyText): Money | null {
  const amount = parseDecimal(value.amount, CURRENCY_DECIMALS[value.currency]);
  return amount === null ? null : { amount, currency: value.currency };
}

export function add(a: Money, b: Money): Money {
  sameCurrency(a, b);
  return money(a.amount + b.amount, a.currency);
}

export function times(a: Money, quantity: number): Money {
  return money(a.amount * quantity, a.currency);
}

function sameCurrency(a: Money, b: Money): void {
  if (a.currency !== b.currency) throw new HubError('currency_mismatch', `Cannot add ${b.currency} to ${a.currency}`);
}

/** How an unrounded price becomes a price; catalogue.md, Distribution price. */
export const ROUNDINGS = ['up', 'down', 'standard', 'twoDecimals'] as const;
export type Rounding = (typeof ROUNDINGS)[number];

/** An exact fraction. The denominator is positive. */
export interface Fraction {
  readonly numerator: bigint;
  readonly denominator: bigint;
}

/** Reads a decimal text of any length exactly. */
export function fractionOf(text: string): Fraction | null {
  const match = /^(-?)(\d+)(?:\.(\d+))?$/.exec(text);
  if (!match) return null;
  const [, sign, whole, part = ''] = match;
  const numerator = BigInt(`${whole}${part}`);
  return { numerator: sign === '-' ? -numerator : numerator, denominator: 10n ** BigInt(part.length) };
}

export function multiply(a: Fraction, b: Fraction): Fraction {
  return { numerator: a.numerator * b.numerator, denominator: a.denominator * b.denominator };
}

export function plus(a: Fraction, b: Fraction): Fraction {
  return {
    numerator: a.numerator * b.denominator + b.numerator * a.denominator,
    denominator: a.denominator * b.denominator,
  };
}

/** The exact decimal text of a fraction whose denominator is a power of ten, as all of ours are; without needless zeros. */
export function decimalOf({ numerator, denominator }: Fraction): string {
  const decimals = denominator.toString().length - 1;
  const digits = (numerator < 0n ? -numerator : numerator).toString().padStart(decimals + 1, '0');
  const whole = digits.slice(0, digits.length - decimals);
  const part = digits.slice(digits.length - decimals).replace(/0+$/, '');
  return `${numerator < 0n ? '-' : ''}${whole}${part === '' ? '' : `.${part}`}`;
}

/**
 * Rounds an exact amount (in whole units of the currency, not minor ones) to money, once, as the last step.
 * `up`, `down`, `standard` (half up) go to whole units; `twoDecimals` half up to the currency's decimals, at most two.
 * A result is never below 0.
 */
export function roundUnits(value: Fraction, rounding: Rounding, currency: Currency): Money {
  const decimals = CURRENCY_DECIMALS[currency];
  const keptDecimals = rounding === 'twoDecimals' ? Math.min(2, decimals) : 0;
  const minor = 10n ** BigInt(decimals - keptDecimals);
  const numerator = value.numerator * 10n ** BigInt(keptDecimals);
  if (numerator <= 0n) return money(0, currency);
  return money(Number(divide(numerator, value.denominator, rounding) * minor), currency);
}

function divide(numerator: bigint, denominator: bigint, rounding: Rounding): bigint {
  const whole = numerator / denominator;
  const rest = numerator % denominator;
  if (rest === 0n || rounding === 'down') return whole;
  if (rounding === 'up') return whole + 1n;
  return rest * 2n >= denominator ? whole + 1n : whole;
}

/** Half up to the currency's own decimals: how fee lines are rounded. */
export function roundToCurrency(value: Fraction, currency: Currency): Money {
  if (value.numerator <= 0n) return money(0, currency);
  const scale = 10n ** BigInt(CURRENCY_DECIMALS[currency]);
  return money(Number(divide(value.numerator * scale, value.denominator, 'standard')), currency);
}

/** The exact number of whole units that `value` stands for. */
export function units(value: Money): Fraction {
  return { numerator: BigInt(value.amount), denominator: 10n ** BigInt(CURRENCY_DECIMALS[value.currency]) };
}
