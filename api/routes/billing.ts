/** Balance, credit and reconciliation records. Contract: billing.md: only the supplier books by hand and sets credit. */
import { HubError } from '../../domain/failures';
import { RECORD_TYPES, type RecordType } from '../../domain/ledger';
import type { Money } from '../../domain/money';
import { CHARGE_LINE_KINDS, type LineRate, RATE_SOURCES } from '../../domain/pricing';
import type { BillingAccountDoc, RecordDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { created, ok, type Route, route } from '../route';
import { currency, moneyAnswer, moneyOf, movedMoney, signedMoney, textOf, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';

export const billing = z
  .object({
    partnership: z.string(),
    currency,
    balance: moneyAnswer.openapi({ description: 'As the distributor sees it' }),
    creditLimit: moneyAnswer,
    usedCredit: moneyAnswer,
    unusedCredit: moneyAnswer,
    creditPeriodDays: z.int().nullable(),
    creditSince: time.nullable().openapi({ description: 'The first use of the credit that is in use' }),
    creditDueAt: time.nullable().openapi({ description: 'The end of the credit period; it blocks nothing' }),
    creditExpired: z.boolean(),
    lowBalance: moneyAnswer.nullable().openapi({
      description: 'Both sides are told when a booking takes the balance below this; null: nobody is',
    }),
  })
  .openapi('Billing');

export function billingOf(row: BillingAccountDoc, now: Date) {
  const used = Math.max(0, -row.balance);
  return {
    partnership: row._id,
    currency: row.currency,
    balance: moneyOf(row.balance, row.currency),
    creditLimit: moneyOf(row.creditLimit, row.currency),
    usedCredit: moneyOf(used, row.currency),
    unusedCredit: moneyOf(Math.max(0, row.creditLimit - used), row.currency),
    creditPeriodDays: row.creditPeriodDays,
    creditSince: row.creditSince,
    creditDueAt: row.creditDueAt,
    creditExpired: row.creditDueAt !== null && row.creditDueAt <= now,
    lowBalance: moneyOf(row.lowBalance, row.currency),
  };
}

export const rateSchema = z
  .object({
    from: currency,
    value: z.string().openapi({ description: 'So many units of the settlement currency are one of `from`; exact' }),
    source: z.enum(RATE_SOURCES),
    fetchedAt: time.nullable().openapi({ description: 'When a live rate was fetched' }),
  })
  .openapi('RateUsed');
export const rateOf = (rate: LineRate | null | undefined) =>
  rate
    ? {
        from: rate.from,
        value: rate.rate,
        source: rate.source,
        fetchedAt: rate.fetchedAt === null ? null : new Date(rate.fetchedAt),
      }
    : null;

const chargeLine = z.object({
  kind: z.enum(CHARGE_LINE_KINDS),
  sku: z.string().nullable(),
  quantity: z.int(),
  unit: moneyAnswer,
  amount: moneyAnswer,
  rate: rateSchema
    .nullable()
    .openapi({ description: 'By which it came from the base currency; null where it is the same' }),
});
export const chargeAnswer = z.object({ lines: z.array(chargeLine), total: moneyAnswer }).openapi('Charge');

const amountOf = (value: Money) => moneyOf(value.amount, value.currency);
const lineOfCharge = (line: RecordDoc['lines'][number]) => ({
  kind: line.kind,
  sku: line.sku,
  quantity: line.quantity,
  unit: amountOf(line.unit),
  amount: amountOf(line.amount),
  rate: rateOf(line.rate),
});
/** A charge as the API shows it. */
export const chargeOf = (charge: { lines: readonly RecordDoc['lines'][number][]; total: Money }) => ({
  lines: charge.lines.map(lineOfCharge),
  total: amountOf(charge.total),
});

export const record = z
  .object({
    id: z.string(),
    type: z.enum(RECORD_TYPES),
    package: z.string().nullable(),
    document: z.string().nullable(),
    lines: z.array(chargeLine),
    note: z.string().nullable(),
    number: z.int().openapi({ description: 'Its place among the records of the partnership' }),
    amount: moneyAnswer.openapi({
      description:
        'As the account that asks sees it (the other side sees the opposite), in the currency it was given in; the answer to a booking by hand shows it as it was asked for, with the distributor’s sign',
    }),
    settlementAmount: moneyAnswer.openapi({
      description: 'The same in the settlement currency: what the balance moved by',
    }),
    rate: rateSchema.nullable().openapi({ description: 'Where it was given in another currency' }),
    balanceAfter: moneyAnswer,
    corrects: z
      .object({ number: z.int().nullable(), record: z.string().nullable(), movesBalance: z.boolean() })
      .nullable()
      .openapi({ description: 'What it makes good, where a verification booked it' }),
    at: time,
  })
  .openapi('ReconciliationRecord');

export type Side = 'supplier' | 'distributor';
/** A booking is one document: the supplier's amounts are the distributor's with the opposite sign. */
export const seenBy = (side: Side, amount: number) => (side === 'supplier' && amount !== 0 ? -amount : amount);

/** One stored document, seen from one side. */
export function recordOf(row: RecordDoc, side: Side) {
  const seen = (amount: number, of = row.currency) => moneyOf(seenBy(side, amount), of);
  const { given } = row;
  return {
    id: row._id,
    type: row.type,
    package: row.package,
    document: row.document,
    lines: row.lines.map(lineOfCharge),
    note: row.note,
    number: row.number,
    amount: given ? seen(given.amount, given.currency) : seen(row.amount),
    settlementAmount: seen(row.amount),
    rate: given ? { from: given.currency, value: given.rate, source: given.source, fetchedAt: given.fetchedAt } : null,
    balanceAfter: seen(row.balanceAfter),
    corrects: row.correction,
    at: row.at,
  };
}

/** A party that is not the supplier is told so; to anybody else there is no such partnership. */
async function requireSupplier({ store }: Hub, account: string, id: string): Promise<void> {
  const row = await store.partnerships.get(account, id);
  if (row.supplier !== account)
    throw new HubError('permission_missing', 'Only the supplier of this partnership may do this', {
      members: { permission: 'billing', side: 'supplier' },
    });
}

/** Fetches the live rate that an amount in another currency may need, before the booking's transaction. */
async function ensureRate({ store, rates }: Hub, supplier: string, partnership: string, amount: Money): Promise<void> {
  const { currency: to } = await store.billing.account(null, partnership);
  if (to === amount.currency) return;
  const setup = await store.partnerships.supplier(supplier);
  await rates.ensure({ baseCurrency: amount.currency, rates: setup.rates }, to);
}

const note = textOf(1000).refine((text) => text.trim() !== '', 'must not be blank');
/** Paid in, or paid out again. */
const topUp = z.strictObject({ amount: movedMoney, note: note.optional() });
const correction = z.strictObject({ amount: movedMoney, note });

const creditInput = z.strictObject({
  limit: zeroOrMore,
  periodDays: z.int().min(1).max(3650).nullable(),
  lowBalance: signedMoney.nullable().optional().openapi({
    description: 'Both sides are told when a booking takes the balance below this; may be negative. Null: nobody is',
  }),
});

function booking(
  path: 'top-ups' | 'adjustments' | 'manual-entries',
  type: RecordType,
  body: z.ZodType<{ amount: Money; note?: string }>,
): Route {
  return route({
    method: 'post',
    path: `/v1/supplier/distributors/{id}/billing/${path}` as '/v1/supplier/distributors/{id}/billing/top-ups',
    access: 'billing',
    tag: 'billing',
    summary: {
      'top-ups': 'Book money the distributor paid in, or with a minus what was paid out again',
      adjustments: 'Correct the balance',
      'manual-entries': 'Book anything else',
    }[path],
    moves: true,
    body,
    answers: { 201: record },
    async handle({ account, params, body: input, command }, hub) {
      await requireSupplier(hub, account, params.id);
      await ensureRate(hub, account, params.id, input.amount);
      const row = await hub.store.billing.bookByHand(account, {
        id: `${type}/${command}`,
        partnership: params.id,
        type,
        amount: input.amount,
        document: command,
        ...(input.note === undefined ? {} : { note: input.note }),
      });
      return created(recordOf(row, 'distributor'));
    },
  });
}

export const billingRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/distributors/{id}/billing',
    access: 'billing',
    tag: 'billing',
    summary: 'Balance and credit of one partnership',
    answers: { 200: billing },
    async handle({ account, params }, hub) {
      await requireSupplier(hub, account, params.id);
      return ok(billingOf(await hub.store.billing.account(null, params.id), hub.now()));
    },
  }),
  booking('top-ups', 'top_up', topUp),
  booking('adjustments', 'adjustment', correction),
  booking('manual-entries', 'manual_entry', correction),
  route({
    method: 'put',
    path: '/v1/supplier/distributors/{id}/billing/credit',
    access: 'billing',
    tag: 'billing',
    summary: 'Set credit limit and period',
    body: creditInput,
    answers: { 200: billing },
    async handle({ account, params, body }, hub) {
      await requireSupplier(hub, account, params.id);
      const { limit, periodDays, lowBalance } = body;
      const credit = { limit, periodDays, ...(lowBalance === undefined ? {} : { lowBalance }) };
      return ok(billingOf(await hub.store.billing.setCredit(account, params.id, credit), hub.now()));
    },
  }),
];
