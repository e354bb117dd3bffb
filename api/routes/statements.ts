/** Statements of a partnership from either side, as a list and as a file, and the supplier's summary. Contract: billing.md, Statements. */
import { MEDIA_TYPES, numberedCell, writeFile } from '../../connectors/files/table';
import { HubError } from '../../domain/failures';
import { FILE_FORMATS, IMPORT_ROWS } from '../../domain/imports';
import { convert, RECORD_TYPES } from '../../domain/ledger';
import { CURRENCY_DECIMALS, type Currency, formatDecimal } from '../../domain/money';
import type { RateFound } from '../../domain/pricing';
import type { RecordDoc } from '../../store/models/documents';
import type { CurrencyTotals, Period, Statement, Total } from '../../store/repositories/statements';
import type { Hub } from '../hub';
import { type Answer, fileAnswer, listed, listOf, type RouteRequest, route, sendFile } from '../route';
import { currency, moneyAnswer, moneyOf, time } from '../schemas/values';
import { z } from '../schemas/zod';
import { billing, billingOf, rateOf, rateSchema, record, recordOf, type Side, seenBy } from './billing';
import { partnershipAs } from './partnerships';

/** A moment, or a day's beginning in UTC. */
const moment = z
  .union([z.iso.date(), z.iso.datetime({ offset: true })])
  .transform((text) => new Date(text))
  .openapi({ type: 'string', example: '2026-11-01', description: 'A time, or a date: its beginning in UTC' });
const periodQuery = z.strictObject({
  from: moment.optional().openapi({ description: 'Not before: a time, or a date (its beginning in UTC)' }),
  to: moment.optional().openapi({ description: 'Before: a time, or a date (its beginning in UTC)' }),
});
const periodOf = ({ from, to }: { from?: Date | undefined; to?: Date | undefined }): Period => {
  if (from && to && from >= to)
    throw new HubError('invalid_input', 'The period has no length', {
      errors: [{ pointer: '/query/to', code: 'too_small', detail: 'must be after `from`' }],
    });
  return { from: from ?? null, to: to ?? null };
};

const total = z.object({ type: z.enum(RECORD_TYPES), count: z.int(), amount: moneyAnswer });
const statement = z
  .object({
    from: time.nullable(),
    to: time.nullable().openapi({ description: 'Itself not in the period' }),
    opening: moneyAnswer,
    totals: z.array(total),
    closing: moneyAnswer.openapi({ description: 'opening + the totals' }),
    count: z.int(),
    final: z.boolean().openapi({ description: 'Nothing can be booked into the period any more' }),
  })
  .openapi('Statement');

const totalOf =
  (side: Side, of: Currency) =>
  ({ type, count, amount }: Total) => ({ type, count, amount: moneyOf(seenBy(side, amount), of) });

function statementOf({ account, period, opening, totals, closing, count, isFinal }: Statement, side: Side) {
  const of = account.currency;
  return {
    from: period.from,
    to: period.to,
    opening: moneyOf(seenBy(side, opening), of),
    totals: totals.map(totalOf(side, of)),
    closing: moneyOf(seenBy(side, closing), of),
    count,
    final: isFinal,
  };
}

type PeriodRequest = RouteRequest<'id', z.output<typeof periodQuery>>;

/** Without a period the records, the newest first; with one its statement, the oldest first. */
async function reconciliation(hub: Hub, side: Side, request: PeriodRequest): Promise<Answer> {
  const { account, params, page, query } = request;
  const row = await partnershipAs(hub, side, account, params.id);
  const { billing: ledger, statements } = hub.store;
  const period = periodOf(query);
  if (row.settlementCurrency === null)
    return listed({ items: [], nextCursor: null }, (none) => none, { billing: null, statement: null });
  const isPeriod = period.from !== null || period.to !== null;
  if (!isPeriod) {
    const owner = billingOf(await ledger.account(null, row._id), hub.now());
    const records = await ledger.records(account, row._id, page);
    return listed(records, (entry) => recordOf(entry, side), { billing: owner, statement: null });
  }
  const drawn = await statements.statement(account, row._id, period);
  return listed(await statements.page(drawn, page), (entry) => recordOf(entry, side), {
    billing: billingOf(drawn.account, hub.now()),
    statement: statementOf(drawn, side),
  });
}

/** The columns of a statement's file. A row is the opening, a record, a line of it, a total, or the closing. */
const STATEMENT_COLUMNS = [
  ...['row', 'time', 'transaction', 'type', 'package', 'document', 'line', 'sku', 'quantity', 'unit'],
  ...['amount', 'currency', 'rate', 'rateFrom', 'rateSource', 'settlementAmount', 'settlementCurrency', 'balanceAfter'],
  'note',
] as const;
type Cells = Partial<Record<(typeof STATEMENT_COLUMNS)[number], string>>;

const decimal = (amount: number, of: Currency) => formatDecimal(amount, CURRENCY_DECIMALS[of]);

/** A line's amount is of what was charged or given back: of the record's sign. */
function* cellsOf(row: RecordDoc, side: Side): Generator<Cells> {
  const amount = (value: number, of = row.currency) => decimal(seenBy(side, value), of);
  const { given } = row;
  const common = { transaction: row._id, type: row.type, package: row.package ?? '', document: row.document ?? '' };
  yield {
    ...{ row: 'record', time: row.at.toISOString(), ...common, note: row.note ?? '' },
    amount: given ? amount(given.amount, given.currency) : amount(row.amount),
    currency: (given ?? row).currency,
    ...(given ? { rate: given.rate, rateFrom: given.currency, rateSource: given.source } : {}),
    settlementAmount: amount(row.amount),
    settlementCurrency: row.currency,
    balanceAfter: amount(row.balanceAfter),
  };
  const sign = row.amount < 0 ? -1 : 1;
  for (const line of row.lines)
    yield {
      ...{ row: 'line', time: row.at.toISOString(), ...common },
      line: line.kind,
      sku: line.sku ?? '',
      quantity: String(line.quantity),
      unit: decimal(line.unit.amount, line.unit.currency),
      amount: amount(sign * line.amount.amount),
      currency: row.currency,
      ...(line.rate ? { rate: line.rate.rate, rateFrom: line.rate.from, rateSource: line.rate.source } : {}),
      settlementAmount: amount(sign * line.amount.amount),
      settlementCurrency: row.currency,
    };
}

async function* statementRows({ store }: Hub, drawn: Statement, side: Side): AsyncGenerator<readonly string[]> {
  const of = drawn.account.currency;
  const inRow = (cells: Cells) => STATEMENT_COLUMNS.map((name) => numberedCell(cells[name] ?? ''));
  const sum = (row: string, amount: number, more: Cells = {}) =>
    inRow({ ...more, row, settlementAmount: decimal(seenBy(side, amount), of), settlementCurrency: of });
  yield sum('opening', drawn.opening, { time: drawn.period.from?.toISOString() ?? '' });
  for await (const row of store.statements.records(drawn)) for (const cells of cellsOf(row, side)) yield inRow(cells);
  for (const { type, count, amount } of drawn.totals) yield sum('total', amount, { type, quantity: String(count) });
  yield sum('closing', drawn.closing, { time: drawn.period.to?.toISOString() ?? '' });
}

const exportQuery = periodQuery.extend({ format: z.enum(FILE_FORMATS).default('csv') });

async function exported(
  hub: Hub,
  side: Side,
  { account, params, query }: RouteRequest<'id', z.output<typeof exportQuery>>,
): Promise<Answer> {
  const row = await partnershipAs(hub, side, account, params.id);
  const drawn = await hub.store.statements.statement(account, row._id, periodOf(query));
  const { format } = query;
  // Each record may be several rows; a sheet has an end.
  if (format === 'xlsx' && drawn.count > IMPORT_ROWS / 10)
    throw new HubError('invalid_input', `There are ${drawn.count} records, more than a sheet takes; use format=csv`, {
      errors: [{ pointer: '/query/format', code: 'too_large', detail: 'a sheet does not take so many; use csv' }],
    });
  return sendFile(writeFile(format, STATEMENT_COLUMNS, statementRows(hub, drawn, side), 'statement'), {
    name: `statement-${row._id}.${format}`,
    mediaType: MEDIA_TYPES[format],
  });
}

const inBase = z.object({
  opening: moneyAnswer,
  totals: z.array(total),
  closing: moneyAnswer,
  prepaid: moneyAnswer,
  owed: moneyAnswer,
});
const summaryItem = z.object({
  billing,
  distributor: z.string(),
  rate: rateSchema
    .nullable()
    .openapi({ description: 'Into the base currency; null where it is the same, or there is none' }),
  balance: moneyAnswer.openapi({ description: 'As the supplier sees it: what the distributor owes is above 0' }),
  inBase: moneyAnswer.nullable(),
});
const ofCurrency = z.object({
  currency,
  partnerships: z.int(),
  opening: moneyAnswer,
  totals: z.array(total),
  closing: moneyAnswer,
  prepaid: moneyAnswer.openapi({ description: 'What distributors have with the supplier now' }),
  owed: moneyAnswer.openapi({ description: 'Used credit now' }),
  rate: rateSchema.nullable(),
  inBase: inBase.nullable().openapi({ description: 'Null where there is no rate' }),
});
const summary = listOf(summaryItem).extend({
  baseCurrency: currency,
  from: time.nullable(),
  to: time.nullable(),
  currencies: z.array(ofCurrency),
  total: z
    .object({ opening: moneyAnswer, closing: moneyAnswer, prepaid: moneyAnswer, owed: moneyAnswer })
    .openapi({ description: 'In the base currency: the sum of what each currency came to' }),
  missingRates: z.array(currency).openapi({ description: 'Not in the total, for want of a rate' }),
});

/** The rate from a settlement currency into the base currency: fixed, else live, else none. */
async function ratesInto({ store, rates }: Hub, supplier: string, base: Currency, currencies: readonly Currency[]) {
  const setup = await store.partnerships.supplier(supplier);
  const found = new Map<Currency, RateFound | null>();
  for (const from of currencies) {
    if (from !== base) await rates.ensure({ baseCurrency: from, rates: setup.rates }, base);
    found.set(from, await store.prices.rate(null, { ...setup, baseCurrency: from }, base));
  }
  return found;
}

const shownRate = (from: Currency, rate: RateFound | null | undefined) =>
  rate && rate.source !== 'same'
    ? rateOf({ from, rate: rate.text, source: rate.source, fetchedAt: rate.fetchedAt ?? null })
    : null;

function currencyOf(row: CurrencyTotals, rate: RateFound | null, base: Currency) {
  const { currency: of, opening, totals, closing, prepaid, owed } = row;
  const seen = (amount: number) => seenBy('supplier', amount);
  const turned = (amount: number) => (rate === null ? 0 : convert({ amount, currency: of }, base, rate).amount);
  const baseTotals = totals.map((one) => ({ ...one, amount: turned(one.amount) }));
  const sums = {
    opening: turned(seen(opening)),
    closing: turned(seen(closing)),
    prepaid: turned(prepaid),
    owed: turned(owed),
  };
  return {
    sums: rate === null ? null : sums,
    shown: {
      currency: of,
      partnerships: row.partnerships,
      opening: moneyOf(seen(opening), of),
      totals: totals.map(totalOf('supplier', of)),
      closing: moneyOf(seen(closing), of),
      prepaid: moneyOf(prepaid, of),
      owed: moneyOf(owed, of),
      rate: shownRate(of, rate),
      inBase:
        rate === null
          ? null
          : {
              opening: moneyOf(sums.opening, base),
              totals: baseTotals.map(totalOf('supplier', base)),
              closing: moneyOf(sums.closing, base),
              prepaid: moneyOf(sums.prepaid, base),
              owed: moneyOf(sums.owed, base),
            },
    },
  };
}

async function summed(hub: Hub, { account, page, query }: RouteRequest<never, z.output<typeof periodQuery>>) {
  const { statements, partnerships } = hub.store;
  const { baseCurrency: base } = await partnerships.supplier(account);
  if (base === null) throw new HubError('setup_incomplete', 'Set the base currency first');
  const period = periodOf(query);
  const rows = await statements.summary(account, period);
  const rates = await ratesInto(
    hub,
    account,
    base,
    rows.map((row) => row.currency),
  );
  const currencies = rows.map((row) => currencyOf(row, rates.get(row.currency) ?? null, base));
  const sum = (field: 'opening' | 'closing' | 'prepaid' | 'owed') =>
    moneyOf(
      currencies.reduce((all, { sums }) => all + (sums?.[field] ?? 0), 0),
      base,
    );
  return listed(
    await statements.accounts(account, page),
    (row) => {
      const rate = rates.get(row.currency) ?? null;
      const balance = { amount: seenBy('supplier', row.balance), currency: row.currency };
      return {
        billing: billingOf(row, hub.now()),
        distributor: row.distributor,
        rate: shownRate(row.currency, rate),
        balance: moneyOf(balance.amount, balance.currency),
        inBase: rate === null ? null : moneyOf(convert(balance, base, rate).amount, base),
      };
    },
    {
      baseCurrency: base,
      from: period.from,
      to: period.to,
      currencies: currencies.map(({ shown }) => shown),
      total: { opening: sum('opening'), closing: sum('closing'), prepaid: sum('prepaid'), owed: sum('owed') },
      missingRates: currencies.flatMap(({ sums, shown }) => (sums === null ? [shown.currency] : [])),
    },
  );
}

const reconciliationAnswer = listOf(record).extend({ billing: billing.nullable(), statement: statement.nullable() });
const MEDIA = Object.values(MEDIA_TYPES);

/** The same for both sides, each of which sees the other as a partner of its own. */
const PATHS = {
  supplier: '/v1/supplier/distributors/{id}/reconciliation',
  distributor: '/v1/distributor/suppliers/{id}/reconciliation',
} as const;

const reconciliationRoutes = (side: Side) => [
  route({
    method: 'get',
    path: PATHS[side],
    access: 'billing',
    tag: 'billing',
    summary: `Records as the ${side} sees them, newest first; with a period its statement, oldest first`,
    query: periodQuery,
    paged: true,
    answers: { 200: reconciliationAnswer },
    handle: (request, hub) => reconciliation(hub, side, request),
  }),
  route({
    method: 'get',
    path: `${PATHS[side]}/export`,
    access: 'billing',
    tag: 'billing',
    summary: `A period’s statement as a file, as the ${side} sees it`,
    query: exportQuery,
    answers: { 200: fileAnswer(MEDIA) },
    handle: (request, hub) => exported(hub, side, request),
  }),
];

export const statementRoutes = [
  ...reconciliationRoutes('supplier'),
  ...reconciliationRoutes('distributor'),
  route({
    method: 'get',
    path: '/v1/supplier/billing/summary',
    access: 'billing',
    tag: 'billing',
    summary: 'All distributors, by currency and together in the base currency',
    query: periodQuery,
    paged: true,
    answers: { 200: summary },
    handle: (request, hub) => summed(hub, request),
  }),
];
