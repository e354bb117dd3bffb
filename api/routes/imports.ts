/** SKUs and prices as files: out, in, and back. Contract: catalogue.md; docs/imports.md. */
import pLimit from 'p-limit';
import { checkHead, MEDIA_TYPES, writeCells, writeTable } from '../../connectors/files/table';
import { isPermitted, type Permission } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import {
  FILE_FORMATS,
  type FileFormat,
  formatComponents,
  IMPORT_FILE_BYTES,
  IMPORT_ROWS,
  type ImportKind,
  type RowError,
} from '../../domain/imports';
import { CURRENCY_DECIMALS, type Currency, formatDecimal } from '../../domain/money';
import type { ImportDoc } from '../../store/models/documents';
import type { RowLeft } from '../../store/repositories/import-rows';
import { type ImportChange, importId, importUndoId } from '../../store/repositories/imports';
import type { Hub } from '../hub';
import { operationSchema, operationStarted, startStored } from '../operations';
import { type Answer, fileAnswer, ok, type RouteRequest, route, sendFile } from '../route';
import { lineOf, queryFlag, time } from '../schemas/values';
import { z } from '../schemas/zod';

/** The head of an XLSX file takes the memory of all its texts, so only a few are looked at at once. */
const headTurn = pLimit(2);

const MEDIA = Object.values(MEDIA_TYPES);
/** Rows of each kind that an answer shows; the rest is in the files. */
const SHOWN = 20;
/** A dry run is waited for where the caller says nothing else. Milliseconds. */
const DRY_RUN_WAIT_MS = 30_000;

const counts = z.object({ total: z.int(), changed: z.int(), unchanged: z.int(), failed: z.int() });
const shownError = z.object({
  line: z.int(),
  column: z.string().nullable(),
  code: z.string(),
  detail: z.string(),
});
const shownChange = z.object({
  line: z.int(),
  sku: z.string(),
  field: z.string(),
  before: z.string().nullable(),
  after: z.string(),
});
const shownLeft = z.object({ line: z.int(), sku: z.string(), detail: z.string() });

const importSchema = z
  .object({
    id: z.string(),
    kind: z.enum(['skus', 'prices']),
    format: z.enum(FILE_FORMATS),
    dryRun: z.boolean(),
    status: z.enum(['running', 'done', 'failed', 'abandoned']),
    rows: counts.openapi({ description: 'In a dry run, `changed` are those that would change' }),
    errors: z.array(shownError).openapi({ description: `The first ${SHOWN}; ?errors=csv has all` }),
    changes: z.array(shownChange).openapi({ description: `The first ${SHOWN}; ?changes=csv has all` }),
    failure: z.object({ code: z.string(), detail: z.string(), problem: z.string().nullable() }).nullable(),
    undo: z
      .object({
        status: z
          .enum(['running', 'done', 'failed'])
          .openapi({ description: 'A failed undo goes on where it stopped when it is asked for again' }),
        restored: z.int(),
        left: z.int().openapi({ description: 'Rows changed since, which stay as they are' }),
        rowsLeft: z.array(shownLeft).openapi({ description: `The first ${SHOWN}; ?left=csv has all` }),
      })
      .nullable(),
    createdAt: time,
    endedAt: time.nullable(),
  })
  .openapi('Import');

async function first<T>(rows: AsyncIterable<T>): Promise<T[]> {
  const taken: T[] = [];
  for await (const row of rows) {
    taken.push(row);
    if (taken.length === SHOWN) break;
  }
  return taken;
}

async function* each<From, To>(rows: AsyncIterable<From>, turn: (row: From) => Iterable<To>): AsyncGenerator<To> {
  for await (const row of rows) yield* turn(row);
}

const amountText = (amount: number | null, currency: Currency) =>
  amount === null ? null : formatDecimal(amount, CURRENCY_DECIMALS[currency]);

/** What a row changed, one entry per field. */
function changesOf(change: ImportChange): z.infer<typeof shownChange>[] {
  const { line, sku } = change;
  if ('currency' in change) {
    const priceOf = change.levelName === null ? 'price' : `price of ${change.levelName}`;
    return [
      ...(change.basePrice ? [{ field: 'basePrice', ...change.basePrice }] : []),
      ...(change.price ? [{ field: priceOf, ...change.price }] : []),
    ].map(({ field, before, after }) => ({
      line,
      sku,
      field,
      before: amountText(before, change.currency),
      after: amountText(after, change.currency) ?? '',
    }));
  }
  const { nameBefore, nameAfter, components, publication } = change;
  return [
    ...(nameBefore === nameAfter ? [] : [{ line, sku, field: 'name', before: nameBefore, after: nameAfter }]),
    ...(components.length === 0
      ? []
      : [{ line, sku, field: 'components', before: null, after: formatComponents(components) }]),
    ...(publication === null ? [] : [{ line, sku, field: 'distribution', before: 'off', after: 'on' }]),
  ];
}

async function importOf({ store }: Hub, row: ImportDoc): Promise<z.input<typeof importSchema>> {
  const [errors, changes, left] = await Promise.all([
    first(store.imports.errors(row)),
    first(each(store.imports.changes(row), changesOf)),
    first(store.imports.left(row)),
  ]);
  const { undo } = row;
  return {
    id: row._id,
    kind: row.kind,
    format: row.format,
    dryRun: row.dryRun,
    status: row.status,
    rows: row.rows,
    errors,
    changes,
    failure: row.failure,
    undo: undo && { status: undo.status, restored: undo.restored, left: undo.left, rowsLeft: left },
    createdAt: row.createdAt.toISOString(),
    endedAt: row.endedAt?.toISOString() ?? null,
  };
}

/** What the audit log keeps: no text of the file. */
const auditedOf = ({ _id, kind, format, dryRun, status, rows, undo }: ImportDoc) => ({
  id: _id,
  kind,
  format,
  dryRun,
  status,
  rows,
  undo: undo && { status: undo.status, restored: undo.restored, left: undo.left },
});
const auditOfNew = {
  objects: ({ command }: { command: string }) => [idFor('import', command)],
  snapshot: async ({ account, command }: { account: string; command: string }, { store }: Hub) =>
    auditedOf(await store.imports.get(account, idFor('import', command))),
};

const importQuery = z.strictObject({
  dryRun: queryFlag.optional().openapi({ description: 'Change nothing; say what would change' }),
  sheet: lineOf(100).optional().openapi({ description: 'The sheet of an XLSX file; the first where it is left out' }),
});
const importAnswer = z.object({ operation: operationSchema, import: importSchema });

function requirePermission({ caller }: Pick<RouteRequest, 'caller'>, permission: Permission): void {
  if (!isPermitted(caller.permissions, permission))
    throw new HubError('permission_missing', `The key needs the permission ${permission}`, { members: { permission } });
}

/** SKUs and prices are not everybody's: an import is read and undone by whoever may send one. */
const requireKind = (request: Pick<RouteRequest, 'caller'>, { kind }: ImportDoc): void =>
  requirePermission(request, kind === 'skus' ? 'inventory' : 'distribution');

/** Starts an import of the file that was sent. What can be told from the file's beginning is told at once. */
async function startImport(
  hub: Hub,
  request: RouteRequest<never, z.output<typeof importQuery>>,
  kind: ImportKind,
  currency: Currency | null,
): Promise<Answer> {
  const { account, caller, command, query, file } = request;
  if (!file) throw new Error('The route takes a file');
  await hub.processes.ping();
  const format = FILE_FORMATS.find((one) => MEDIA_TYPES[one] === file.mediaType) as FileFormat;
  const dryRun = query.dryRun ?? false;
  const sheet = query.sheet ?? null;
  const source = await hub.store.files.open(account, file.id);
  await headTurn(() => checkHead({ source, kind, format, sheet }));
  const mayDistribute = isPermitted(caller.permissions, 'distribution');
  const row = await hub.store.imports.add(account, command, {
    kind,
    format,
    sheet,
    dryRun,
    mayDistribute,
    currency,
    file: file.id,
  });
  await startStored(hub, () => hub.processes.startImport(row._id));
  const waitMs = dryRun && request.headers.prefer === undefined ? DRY_RUN_WAIT_MS : request.waitMs;
  const answer = await operationStarted(hub, { account, waitMs }, [importId(row._id)]);
  const now = await importOf(hub, await hub.store.imports.get(account, row._id));
  return { ...answer, body: { ...(answer.body as object), import: now } };
}

const exportQuery = z.strictObject({ format: z.enum(FILE_FORMATS).default('csv') });

function exported(kind: ImportKind, format: FileFormat, name: string, rows: AsyncIterable<readonly string[]>): Answer {
  return sendFile(writeTable(kind, format, rows), { name: `${name}.${format}`, mediaType: MEDIA_TYPES[format] });
}

/** A sheet has an end. */
function requireFit(format: FileFormat, count: number): void {
  if (format === 'xlsx' && count > IMPORT_ROWS)
    throw new HubError('invalid_input', `There are ${count} rows, more than a sheet takes; use format=csv`);
}

const errorCells = ({ line, column, code, detail }: RowError) => [[String(line), column ?? '', code, detail]];
const leftCells = ({ line, sku, detail }: RowLeft) => [[String(line), sku, detail]];
const changeCells = (change: ImportChange) =>
  changesOf(change).map(({ line, sku, field, before, after }) => [String(line), sku, field, before ?? '', after]);

const fileOfRows = z.literal('csv').optional();

export const importRoutes = [
  route({
    method: 'get',
    path: '/v1/skus/export',
    access: 'inventory',
    tag: 'imports and exports',
    summary: 'All SKUs as a file, in the columns of an import',
    query: exportQuery,
    answers: { 200: fileAnswer(MEDIA) },
    async handle({ account, query: { format } }, { store }) {
      requireFit(format, await store.exports.countSkus(account));
      const rows = each(store.exports.skus(account), (row) => [
        [row.sku, row.name, row.kind, formatComponents(row.components), row.isDistributed ? 'on' : 'off'],
      ]);
      return exported('skus', format, 'skus', rows);
    },
  }),
  route({
    method: 'post',
    path: '/v1/skus/import',
    access: 'inventory',
    tag: 'imports and exports',
    summary: 'Make and rename SKUs and turn distribution on, by a file',
    moves: true,
    query: importQuery,
    file: { limitBytes: IMPORT_FILE_BYTES, mediaTypes: MEDIA },
    audit: auditOfNew,
    answers: { 200: importAnswer, 202: importAnswer },
    handle: (request, hub) => startImport(hub, request, 'skus', null),
  }),
  route({
    method: 'get',
    path: '/v1/supplier/products/export',
    access: 'distribution',
    tag: 'imports and exports',
    summary: 'Base prices and SKU prices as a file, in the columns of an import',
    query: exportQuery,
    answers: { 200: fileAnswer(MEDIA) },
    async handle({ account, query: { format } }, { store }) {
      const { baseCurrency } = await store.partnerships.supplier(account);
      const text = (amount: number | null) =>
        amount === null || baseCurrency === null ? '' : formatDecimal(amount, CURRENCY_DECIMALS[baseCurrency]);
      const rows = each(store.exports.prices(account), (row) => [
        [row.sku, text(row.basePrice), row.level ?? '', text(row.price)],
      ]);
      return exported('prices', format, 'prices', rows);
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products/import',
    access: 'distribution',
    tag: 'imports and exports',
    summary: 'Set base prices and SKU prices by a file',
    moves: true,
    query: importQuery,
    file: { limitBytes: IMPORT_FILE_BYTES, mediaTypes: MEDIA },
    audit: auditOfNew,
    answers: { 200: importAnswer, 202: importAnswer },
    async handle(request, hub) {
      const { baseCurrency } = await hub.store.partnerships.supplier(request.account);
      if (baseCurrency === null) throw new HubError('setup_incomplete', 'Set the base currency first');
      return startImport(hub, request, 'prices', baseCurrency);
    },
  }),
  route({
    method: 'get',
    path: '/v1/imports/{id}',
    access: ['inventory', 'distribution'],
    tag: 'imports and exports',
    summary: 'One import: what became of its rows; its errors, its changes or what an undo left as a file',
    query: z.strictObject({ errors: fileOfRows, changes: fileOfRows, left: fileOfRows }),
    answers: { 200: fileAnswer([MEDIA_TYPES.csv], importSchema) },
    async handle(request, hub) {
      const { account, params, query } = request;
      const { imports } = hub.store;
      const row = await imports.get(account, params.id);
      requireKind(request, row);
      const send = (name: string, header: string[], rows: AsyncIterable<string[]>) =>
        sendFile(writeCells(header, rows), { name: `${name}-${row._id}.csv`, mediaType: MEDIA_TYPES.csv });
      if (query.errors)
        return send('errors', ['line', 'column', 'code', 'detail'], each(imports.errors(row), errorCells));
      if (query.changes)
        return send('changes', ['line', 'sku', 'field', 'before', 'after'], each(imports.changes(row), changeCells));
      if (query.left) return send('left', ['line', 'sku', 'detail'], each(imports.left(row), leftCells));
      return ok(await importOf(hub, row));
    },
  }),
  route({
    method: 'post',
    path: '/v1/imports/{id}/undo',
    access: ['inventory', 'distribution'],
    tag: 'imports and exports',
    summary: 'Restore what an import overwrote, once; rows changed since are left and named',
    moves: true,
    audit: {
      snapshot: async ({ account, params }, { store }) => auditedOf(await store.imports.get(account, params.id)),
    },
    answers: { 200: importAnswer, 202: importAnswer },
    async handle(request, hub) {
      const { account, caller, params, command } = request;
      const before = await hub.store.imports.get(account, params.id);
      requireKind(request, before);
      // The undo takes products off the list again.
      if (!isPermitted(caller.permissions, 'distribution') && (await hub.store.imports.hasDistributed(before)))
        requirePermission(request, 'distribution');
      await hub.processes.ping();
      const row = await hub.store.imports.beginUndo(account, params.id, command);
      await startStored(hub, () => hub.processes.startImportUndo(row._id));
      const answer = await operationStarted(hub, request, [importUndoId(row._id)]);
      const now = await importOf(hub, await hub.store.imports.get(account, row._id));
      return { ...answer, body: { ...(answer.body as object), import: now } };
    },
  }),
];
