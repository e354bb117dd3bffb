/** Balance, credit and reconciliation records. Contract: billing.md: only the supplier books by hand and sets credit. */
import { HubError } from '../../domain/failures';
import type { Money } from '../../domain/money';
import { type BillingAccountDoc, RECORD_TYPES, type RecordDoc, type RecordType } from '../../store/models/documents';
import type { Hub } from '../hub';
import { created, listed, listOf, ok, type Route, type RouteRequest, route } from '../route';
import {
  currency,
  moneyAnswer,
  moneyOf,
  positiveMoney,
  signedMoney,
  textOf,
  time,
  zeroOrMore,
} from '../schemas/values';
import { z } from '../schemas/zod';
import { partnershipAs } from './partnerships';

const billing = z
  .object({
    partnership: z.string(),
    currency,
    balance: moneyAnswer.openapi({ description: 'As the distributor sees it' }),
    creditLimit: moneyAnswer,
    usedCredit: moneyAnswer,
    unusedCredit: moneyAnswer,
    creditPeriodDays: z.int().nullable(),
  })
  .openapi('Billing');

function billingOf(row: BillingAccountDoc) {
  const used = Math.max(0, -row.balance);
  return {
    partnership: row._id,
    currency: row.currency,
    balance: moneyOf(row.balance, row.currency),
    creditLimit: moneyOf(row.creditLimit, row.currency),
    usedCredit: moneyOf(used, row.currency),
    unusedCredit: moneyOf(Math.max(0, row.creditLimit - used), row.currency),
    creditPeriodDays: row.creditPeriodDays,
  };
}

const chargeLine = z.object({
  kind: z.enum(['goods', 'stock_out_charge', 'logistics_cost']),
  sku: z.string().nullable(),
  quantity: z.int(),
  unit: moneyAnswer,
  amount: moneyAnswer,
});
export const chargeAnswer = z.object({ lines: z.array(chargeLine), total: moneyAnswer }).openapi('Charge');

const amountOf = (value: Money) => moneyOf(value.amount, value.currency);
const lineOfCharge = (line: RecordDoc['lines'][number]) => ({
  kind: line.kind,
  sku: line.sku,
  quantity: line.quantity,
  unit: amountOf(line.unit),
  amount: amountOf(line.amount),
});
/** A charge as the API shows it. */
export const chargeOf = (charge: { lines: readonly RecordDoc['lines'][number][]; total: Money }) => ({
  lines: charge.lines.map(lineOfCharge),
  total: amountOf(charge.total),
});

const record = z
  .object({
    id: z.string(),
    type: z.enum(RECORD_TYPES),
    package: z.string().nullable(),
    document: z.string().nullable(),
    lines: z.array(chargeLine),
    note: z.string().nullable(),
    amount: moneyAnswer.openapi({ description: 'As the account that asks sees it: the other side sees the opposite' }),
    balanceAfter: moneyAnswer,
    at: time,
  })
  .openapi('ReconciliationRecord');

/** One stored document, seen from one side: the supplier's amounts are the distributor's with the opposite sign. */
function recordOf(row: RecordDoc, side: 'supplier' | 'distributor') {
  const seen = (amount: number) => moneyOf(side === 'supplier' && amount !== 0 ? -amount : amount, row.currency);
  return {
    id: row._id,
    type: row.type,
    package: row.package,
    document: row.document,
    lines: row.lines.map(lineOfCharge),
    note: row.note,
    amount: seen(row.amount),
    balanceAfter: seen(row.balanceAfter),
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

async function reconciliation(
  hub: Hub,
  side: 'supplier' | 'distributor',
  { account, params, page }: Pick<RouteRequest<'id'>, 'account' | 'params' | 'page'>,
) {
  const row = await partnershipAs(hub, side, account, params.id);
  const records = await hub.store.billing.records(account, row._id, page);
  const owner = row.settlementCurrency === null ? null : await hub.store.billing.account(null, row._id);
  return listed(records, (entry) => recordOf(entry, side), { billing: owner === null ? null : billingOf(owner) });
}

const note = textOf(1000).refine((text) => text.trim() !== '', 'must not be blank');
const topUp = z.strictObject({ amount: positiveMoney, note: note.optional() });
const correction = z.strictObject({
  amount: signedMoney.refine((value) => value.amount !== 0, { path: ['amount'], message: 'must not be 0' }),
  note,
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
      'top-ups': 'Book money the distributor paid in',
      adjustments: 'Correct the balance',
      'manual-entries': 'Book anything else',
    }[path],
    moves: true,
    body,
    answers: { 201: record },
    async handle({ account, params, body: input, command }, hub) {
      await requireSupplier(hub, account, params.id);
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
      return ok(billingOf(await hub.store.billing.account(null, params.id)));
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
    body: z.strictObject({ limit: zeroOrMore, periodDays: z.int().min(1).max(3650).nullable() }),
    answers: { 200: billing },
    async handle({ account, params, body }, hub) {
      await requireSupplier(hub, account, params.id);
      return ok(billingOf(await hub.store.billing.setCredit(account, params.id, body)));
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/distributors/{id}/reconciliation',
    access: 'billing',
    tag: 'billing',
    summary: 'Booked amounts as the supplier sees them, newest first',
    paged: true,
    answers: { 200: listOf(record).extend({ billing: billing.nullable() }) },
    handle: (request, hub) => reconciliation(hub, 'supplier', request),
  }),
  route({
    method: 'get',
    path: '/v1/distributor/suppliers/{id}/reconciliation',
    access: 'billing',
    tag: 'billing',
    summary: 'Booked amounts as the distributor sees them, newest first',
    paged: true,
    answers: { 200: listOf(record).extend({ billing: billing.nullable() }) },
    handle: (request, hub) => reconciliation(hub, 'distributor', request),
  }),
];
