/** Records of what was pushed where. Contract: stock-push.md, Push records. */
import { writeCsv } from '../../connectors/files/csv';
import { escapeFormula } from '../../domain/imports';
import { PUSH_OUTCOMES, type PushRecordDoc } from '../../store/models/documents';
import type { PushHistory, RecordFilter } from '../../store/repositories/pushes';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { fileAnswer, listed, listOf, type RouteRequest, route, sendFile } from '../route';
import { id, instant, skuCode, time } from '../schemas/values';
import { z } from '../schemas/zod';

const result = z.object({
  quantity: z.int().nullable(),
  before: z.int().nullable(),
  cause: z.string(),
  rule: z.string().nullable(),
  revision: z.int().nullable(),
  at: time,
  outcome: z.enum(PUSH_OUTCOMES),
  error: z.string().nullable(),
  attempts: z.int(),
  changes: z.int(),
});
const recordFields = {
  sku: z.string(),
  store: z.string().nullable(),
  distributor: z.string().nullable(),
  accepted: z.int().nullable().openapi({ description: 'The last quantity accepted there' }),
  latest: result,
};
const pushRecord = z.object(recordFields).openapi('PushRecord');
const pushHistory = z.object({ ...recordFields, history: z.array(result) }).openapi('PushHistory');

const resultOf = (row: PushRecordDoc['latest']) => ({
  quantity: row.quantity,
  before: row.before,
  cause: row.cause,
  rule: row.rule,
  revision: row.revision,
  at: row.at,
  outcome: row.outcome,
  error: row.error,
  attempts: row.attempts,
  changes: row.changes,
});
const recordOf = (row: PushRecordDoc) => ({
  sku: row.sku,
  store: row.store,
  distributor: row.distributor,
  accepted: row.accepted,
  latest: resultOf(row.latest),
});
const historyOf = (row: PushHistory) => ({ ...recordOf(row), history: row.history.map(resultOf) });

const recordFilter = {
  sku: skuCode.optional(),
  outcome: z.enum(PUSH_OUTCOMES).optional(),
  from: instant.optional().openapi({ description: 'Latest results at this time or later' }),
  to: instant.optional(),
};
const storeFilter = z.strictObject({ ...recordFilter, store: id.optional() });
const distributorFilter = z.strictObject({ ...recordFilter, distributor: id.optional() });

const COLUMNS = ['quantity', 'before', 'cause', 'rule', 'revision', 'outcome', 'error', 'attempts', 'changes'] as const;

/** Records as a file, made as they are read. */
async function* rowsOf(kind: PushRecordDoc['kind'], records: AsyncIterable<PushRecordDoc>): AsyncGenerator<string[]> {
  yield ['sku', kind, 'at', ...COLUMNS];
  for await (const { sku, store, distributor, latest } of records)
    yield [
      ...[sku, (kind === 'store' ? store : distributor) ?? '', latest.at.toISOString()],
      ...COLUMNS.map((name) => String(latest[name] ?? '')),
    ].map(escapeFormula);
}

/** What is asked for, without what every list takes. */
const recordQuery = ({
  limit: _limit,
  cursor: _cursor,
  ...filter
}: Record<string, unknown>): Omit<RecordFilter, 'kind'> => withoutUndefined(filter);

type RecordRequest = Pick<RouteRequest, 'account' | 'page'> & { readonly query: Record<string, unknown> };
const listRecords =
  (kind: PushRecordDoc['kind']) =>
  async ({ account, query, page }: RecordRequest, { store }: Hub) =>
    listed(await store.pushes.records(account, { kind, ...recordQuery(query) }, page), recordOf);
const exportRecords =
  (kind: PushRecordDoc['kind']) =>
  ({ account, query }: RecordRequest, { store }: Hub) =>
    sendFile(writeCsv(rowsOf(kind, store.pushes.everyRecord(account, { kind, ...recordQuery(query) }))), {
      ...{ name: 'push-records.csv', mediaType: 'text/csv; charset=utf-8' },
    });
const listHistory =
  (kind: PushRecordDoc['kind']) =>
  async (
    { account, query: { sku, ...query } }: RecordRequest & { readonly query: { readonly sku: string } },
    { store }: Hub,
  ) => {
    const items = await store.pushes.history(account, { kind, sku, ...withoutUndefined(query) });
    return listed({ items, nextCursor: null }, historyOf);
  };

export const pushRecordRoutes = [
  route({
    method: 'get',
    path: '/v1/push-records',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The latest push of each SKU to each store',
    query: storeFilter,
    paged: true,
    answers: { 200: listOf(pushRecord) },
    handle: listRecords('store'),
  }),
  route({
    method: 'get',
    path: '/v1/push-records/export',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The same as a file',
    query: storeFilter,
    answers: { 200: fileAnswer(['text/csv']) },
    handle: exportRecords('store'),
  }),
  route({
    method: 'get',
    path: '/v1/push-records/history',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The newest 30 pushes of a SKU, per store; at most 30 days back',
    query: z.strictObject({ sku: skuCode, store: id.optional() }),
    answers: { 200: listOf(pushHistory) },
    handle: listHistory('store'),
  }),
  route({
    method: 'get',
    path: '/v1/supplier/push-records',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The latest push of each distribution product to each distributor',
    query: distributorFilter,
    paged: true,
    answers: { 200: listOf(pushRecord) },
    handle: listRecords('distributor'),
  }),
  route({
    method: 'get',
    path: '/v1/supplier/push-records/export',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The same as a file',
    query: distributorFilter,
    answers: { 200: fileAnswer(['text/csv']) },
    handle: exportRecords('distributor'),
  }),
  route({
    method: 'get',
    path: '/v1/supplier/push-records/history',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The newest 30 pushes of a distribution product, per distributor; at most 30 days back',
    query: z.strictObject({ sku: skuCode, distributor: id.optional() }),
    answers: { 200: listOf(pushHistory) },
    handle: listHistory('distributor'),
  }),
];
