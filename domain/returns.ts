/** After-sale returns, and goods of cancelled supply orders that go back on the shelf. Contract: orders.md, Cancelled supply orders, returns. */
import { type Currency, fractionOf, type Money, money, multiply, roundToCurrency, times, units } from './money';
import type { ChargeLine, LineRate, RateFound } from './pricing';

export interface LineUnits {
  /** As in the supply order. */
  readonly line: string;
  readonly quantity: number;
}

/** The stock-in return charge as it was fixed at the push: in the base currency, with the rate of then. */
export interface ReturnFee {
  readonly by: 'package' | 'quantity';
  readonly amount: Money;
  /** An exact decimal string. */
  readonly rate: string;
  readonly source?: RateFound['source'];
  /** When a live rate was fetched, epoch ms. */
  readonly fetchedAt?: number | null;
}

interface SuppliedLine extends LineUnits {
  readonly sku: string;
  /** Minor units of the settlement currency. */
  readonly price: number;
  /** By which it came from the base currency. */
  readonly rate?: LineRate | null;
}

/** What is wrong with one of the lines that were named. */
export interface LineProblem {
  readonly index: number;
  readonly code: 'unknown_line' | 'named_twice' | 'too_many';
  readonly detail: string;
}

/** Units by line, added up. */
export function sumUnits(...lists: readonly (readonly LineUnits[])[]): LineUnits[] {
  const sums = new Map<string, number>();
  for (const { line, quantity } of lists.flat()) sums.set(line, (sums.get(line) ?? 0) + quantity);
  return [...sums].map(([line, quantity]) => ({ line, quantity }));
}

const unitsOf = (lines: readonly LineUnits[], wanted: string) =>
  lines.find(({ line }) => line === wanted)?.quantity ?? 0;

/** Each line that asks for more than is left of it, or that is none of the supply order's. */
export function findLineProblems(
  wanted: readonly LineUnits[],
  there: readonly LineUnits[],
  gone: readonly LineUnits[],
): LineProblem[] {
  return wanted.flatMap(({ line, quantity }, index): LineProblem[] => {
    const whole = there.find((one) => one.line === line);
    if (!whole) return [{ index, code: 'unknown_line', detail: `The supply order has no line ${line}` }];
    if (wanted.findIndex((one) => one.line === line) !== index)
      return [{ index, code: 'named_twice', detail: `Line ${line} is named twice` }];
    const left = whole.quantity - unitsOf(gone, line);
    return quantity > left ? [{ index, code: 'too_many', detail: `${left} of line ${line} are left` }] : [];
  });
}

/** What was charged for these units: the most that a return of them gives back. Minor units. */
export function chargedFor(wanted: readonly LineUnits[], lines: readonly SuppliedLine[]): number {
  return wanted.reduce(
    (sum, { line, quantity }) => sum + quantity * (lines.find((one) => one.line === line)?.price ?? 0),
    0,
  );
}

/** The refund's lines, which add up to it: filled in their order, each up to what was charged for it. */
export function refundLines(wanted: readonly LineUnits[], lines: readonly SuppliedLine[], refund: Money): ChargeLine[] {
  let left = refund.amount;
  return wanted.flatMap(({ line, quantity }) => {
    const { sku, price, rate } = lines.find((one) => one.line === line) ?? { sku: '', price: 0 };
    const unit = money(price, refund.currency);
    const amount = Math.min(left, times(unit, quantity).amount);
    left -= amount;
    return amount === 0
      ? []
      : [
          {
            kind: 'goods' as const,
            sku,
            quantity,
            unit,
            amount: money(amount, refund.currency),
            ...(rate ? { rate } : {}),
          },
        ];
  });
}

/** The stock-in return charge, once for a return or for each of its units; null where there is none. */
export function returnChargeLine(
  fee: ReturnFee | null,
  returned: readonly LineUnits[],
  currency: Currency,
): ChargeLine | null {
  const rate = fee === null ? null : fractionOf(fee.rate);
  if (fee === null || rate === null) return null;
  const inSettlement = (count: number) =>
    roundToCurrency(
      multiply(multiply(units(fee.amount), rate), { numerator: BigInt(count), denominator: 1n }),
      currency,
    );
  const quantity = fee.by === 'package' ? 1 : returned.reduce((sum, line) => sum + line.quantity, 0);
  const amount = inSettlement(quantity);
  if (amount.amount === 0) return null;
  const { source = 'same', fetchedAt = null, rate: text } = fee;
  const used = source === 'same' ? {} : { rate: { from: fee.amount.currency, rate: text, source, fetchedAt } };
  return { kind: 'stock_in_return_charge', sku: null, quantity, unit: inSettlement(1), amount, ...used };
}
