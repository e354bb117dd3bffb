/**
 * The rules of a billing account: which way each kind of record goes, what an amount in another currency comes to, since
 * when credit is in use, when somebody is told. Contract: billing.md.
 */
import { type Currency, type Money, money, multiply, roundToCurrency, units } from './money';
import type { RateFound } from './pricing';

const DAY_MS = 86_400_000;

/** Each kind of record with its sign as the distributor sees it; null: of either sign. */
export const RECORD_SIGNS = {
  order_push: -1,
  push_reversal: 1,
  order_recall: 1,
  return_refund: 1,
  return_charge: -1,
  top_up: null,
  adjustment: null,
  manual_entry: null,
} as const;
export type RecordType = keyof typeof RECORD_SIGNS;
export const RECORD_TYPES = Object.keys(RECORD_SIGNS) as [RecordType, ...RecordType[]];
/** What gives back what a push charged. */
export const REFUND_TYPES: readonly RecordType[] = ['push_reversal', 'order_recall', 'return_refund'];

/** Whether an amount (the distributor's view) may stand on a record of this type. Nothing at all always may. */
export function hasSignOf(type: RecordType, amount: number): boolean {
  const sign = RECORD_SIGNS[type];
  return sign === null || amount * sign >= 0;
}

/** What an amount comes to in another currency: exact, then rounded once, half away from zero, to its smallest unit. */
export function convert(amount: Money, to: Currency, rate: RateFound): Money {
  const size = multiply(units({ ...amount, amount: Math.abs(amount.amount) }), rate.value);
  const { amount: rounded } = roundToCurrency(size, to);
  return money(amount.amount < 0 ? -rounded : rounded, to);
}

/** Since when credit is in use, and until when it may be. */
export interface CreditUse {
  readonly since: Date | null;
  readonly dueAt: Date | null;
}

/** When a period that began then ends; null where there is none. */
export function creditDueAt(since: Date | null, periodDays: number | null): Date | null {
  return since === null || periodDays === null ? null : new Date(since.getTime() + periodDays * DAY_MS);
}

/**
 * What becomes of the credit period with a booking: it begins with the first use of credit and ends when none is in use.
 * @returns null where it stays as it is
 */
export function creditUseAfter(
  since: Date | null,
  after: { readonly balance: number; readonly at: Date; readonly periodDays: number | null },
): CreditUse | null {
  if (after.balance >= 0) return since === null ? null : { since: null, dueAt: null };
  return since === null ? { since: after.at, dueAt: creditDueAt(after.at, after.periodDays) } : null;
}

/** Whether a booking took the balance below the threshold: it stood there, or above, before. */
export function fallsBelow(before: number, after: number, threshold: number): boolean {
  return before >= threshold && after < threshold;
}
