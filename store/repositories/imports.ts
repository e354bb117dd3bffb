/**
 * Imports: the file's rows in sealed batches, each applied, and undone, in one transaction that also notes that it is.
 * A row's effect is therefore there once, however often a killed worker's step is repeated.
 */
import type { ClientSession, QueryFilter } from 'mongoose';
import { type FailureCode, HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import type { PriceRow, RowError, SkuRow } from '../../domain/imports';
import { processId } from '../../domain/process-ids';
import { type Database, found, isDuplicateKey } from '../database';
import type { ImportBatchDoc, ImportDoc } from '../models/documents';
import { createFileRepository } from './files';
import type { Applied, Planned, RowChange, RowKind, RowLeft } from './import-rows';
import { createOperationRepository } from './operations';
import { createPriceRows, type PriceChange } from './price-rows';
import { createSkuRows, type SkuChange } from './sku-rows';

export type ImportRow = SkuRow | PriceRow;
export type ImportChange = SkuChange | PriceChange;

/** Rows as read, before they are applied. */
export interface BatchBody {
  readonly rows: readonly ImportRow[];
  readonly errors: readonly RowError[];
}

/** What a batch came to. */
export interface BatchOutcome {
  readonly changes: readonly ImportChange[];
  readonly errors: readonly RowError[];
}

export interface NewImport {
  readonly kind: ImportDoc['kind'];
  readonly format: ImportDoc['format'];
  readonly sheet: string | null;
  readonly dryRun: boolean;
  readonly mayDistribute: boolean;
  readonly currency: ImportDoc['currency'];
  readonly file: string;
}

export const importId = (id: string) => processId('import', { import: id });
export const importUndoId = (id: string) => processId('import-undo', { import: id });

/** Thrown to end a dry run's transaction without its writes; carries what they would have been. */
class DryRunEnd extends Error {
  constructor(readonly applied: Applied<ImportChange>) {
    super('a dry run writes nothing');
  }
}

/** A batch that somebody else made into a conflict is looked at again this often. */
const TRIES = 5;

export function createImportRepository(db: Database) {
  const { models, cipher, now } = db;
  const operations = createOperationRepository(db);
  const files = createFileRepository(db);
  const kinds = { skus: createSkuRows(db), prices: createPriceRows(db) } as unknown as Record<
    ImportDoc['kind'],
    RowKind<ImportRow, ImportChange>
  >;

  const contextOf = (row: Pick<ImportDoc, 'account'>, batch: string, part: string) =>
    `import:${row.account}:${batch}:${part}`;
  const seal = (row: ImportDoc, batch: string, part: string, value: unknown) =>
    cipher.seal(JSON.stringify(value), contextOf(row, batch, part));
  const open = <T>(row: ImportDoc, batch: string, part: string, sealed: string): T =>
    JSON.parse(cipher.open(sealed, contextOf(row, batch, part))) as T;

  async function byId(id: string): Promise<ImportDoc> {
    return found(await models.imports.findById(id).lean(), 'import');
  }

  /** Batches of the reading that counts, in the order in which they are applied. */
  function batchesOf(row: ImportDoc, filter: QueryFilter<ImportBatchDoc>, order: 1 | -1 = 1) {
    const whole: QueryFilter<ImportBatchDoc> = { import: row._id, reading: row.reading ?? '', ...filter };
    return models.importBatches.find(whole).sort({ number: order }).lean<ImportBatchDoc[]>();
  }

  /** Outside a transaction many are changed one by one; see store/models. */
  async function eachBatch(filter: QueryFilter<ImportBatchDoc>, step: (one: { _id: string }) => object): Promise<void> {
    const rows = await models.importBatches.find(filter, { _id: 1 }).lean<{ _id: string }[]>();
    const steps = rows.map(({ _id }) => step({ _id }));
    if (steps.length > 0) await models.importBatches.collection.bulkWrite(steps as never);
  }
  const dropBatches = (filter: QueryFilter<ImportBatchDoc>) =>
    eachBatch(filter, (one) => ({ deleteOne: { filter: one } }));

  /** Drops what the import doesn't need once its reading is settled: the file, and batches of other readings. */
  async function tidy({ _id, reading, file }: ImportDoc): Promise<void> {
    await dropBatches({ import: _id, reading: { $ne: reading } });
    await files.remove(file);
  }

  async function decide(
    row: ImportDoc,
    batch: ImportBatchDoc,
    planned: Planned | null,
  ): Promise<Applied<ImportChange>> {
    const { rows, errors } = open<BatchBody>(row, batch._id, 'body', batch.body);
    const { account, mayDistribute, currency } = row;
    const context = { account, import: row._id, mayDistribute, currency, planned };
    try {
      return await db.transact(async (session) => {
        const applied = await kinds[row.kind].apply(session, context, rows);
        if (row.dryRun) throw new DryRunEnd(applied);
        const done = await settle(row, batch, errors, applied, session);
        // Another one was faster: what it did stands, and this does nothing.
        if (!done) throw new HubError('unavailable', 'The batch was applied just now');
        return applied;
      }, `imports/${row.account}`);
    } catch (error) {
      if (!(error instanceof DryRunEnd)) throw error;
      await settle(row, batch, errors, error.applied, undefined);
      return error.applied;
    }
  }

  /** Notes what became of the batch of a running import, once. @returns whether it was not noted before */
  async function settle(
    row: ImportDoc,
    batch: ImportBatchDoc,
    errors: readonly RowError[],
    applied: Applied<ImportChange>,
    session: ClientSession | undefined,
  ): Promise<boolean> {
    const all = [...errors, ...applied.errors].sort((a, b) => a.line - b.line);
    const failed = new Set(all.map(({ line }) => line)).size;
    const outcome: BatchOutcome = { changes: applied.changes, errors: all };
    const { matchedCount } = await models.importBatches.collection.updateOne(
      { _id: batch._id as never, applied: false },
      {
        $set: {
          applied: true,
          body: '',
          outcome: seal(row, batch._id, 'outcome', outcome),
          changed: applied.changes.length,
          failed,
          ...(row.dryRun ? { body: batch.body } : {}),
        },
      },
      session ? { session } : {},
    );
    if (matchedCount === 0) return false;
    const counted = await models.imports.collection.updateOne(
      { _id: row._id as never, status: 'running' },
      { $inc: { 'rows.changed': applied.changes.length, 'rows.unchanged': applied.unchanged, 'rows.failed': failed } },
      session ? { session } : {},
    );
    // A step of an import that was stopped meanwhile commits nothing more.
    if (counted.matchedCount === 0) throw new HubError('unavailable', 'The import was stopped just now');
    return true;
  }

  return {
    /** Lists the import and its operation and takes the file over. The same command again makes no second one. */
    add(account: string, command: string, input: NewImport): Promise<ImportDoc> {
      const _id = idFor('import', command);
      return db.transact(async (session) => {
        const there = await models.imports.findOne({ _id, account }).session(session).lean();
        if (there) return there;
        const row: ImportDoc = {
          _id,
          account,
          ...input,
          status: 'running',
          reading: null,
          rows: { total: 0, changed: 0, unchanged: 0, failed: 0 },
          failure: null,
          undo: null,
          createdAt: now(),
          endedAt: null,
        };
        await models.imports.create([row], { session });
        await files.claim(session, account, input.file, _id);
        await operations.begin(session, {
          workflowId: importId(_id),
          kind: 'import',
          accounts: [account],
          document: _id,
        });
        return row;
      });
    },

    async get(account: string, id: string): Promise<ImportDoc> {
      return found(await models.imports.findOne({ _id: id, account }).lean(), 'import');
    },

    /** For its own process, which knows whose it is by the import. */
    byId,

    /** Keeps rows of a reading that is under way. */
    async addBatch(row: ImportDoc, reading: string, number: number, body: BatchBody): Promise<void> {
      const _id = `${row._id}/${reading}/${String(number).padStart(8, '0')}`;
      const doc: ImportBatchDoc = {
        _id,
        import: row._id,
        reading,
        number,
        rows: body.rows.length + new Set(body.errors.map(({ line }) => line)).size,
        failed: 0,
        changed: 0,
        left: 0,
        applied: false,
        undone: false,
        body: seal(row, _id, 'body', body),
        outcome: null,
        remains: null,
      };
      await models.importBatches.collection.insertOne(doc as never);
    },

    /** The whole file was read: from now on these batches count, and the file goes. Only the first reading to end counts. */
    async endReading(row: ImportDoc, reading: string, total: number): Promise<void> {
      await models.imports.updateOne(
        { _id: row._id, reading: null, status: 'running' },
        { $set: { reading, 'rows.total': total } },
      );
      await tidy(await byId(row._id));
    },

    /** A dry run keeps nothing, so one that was cut off begins anew. */
    async restartDryRun(row: ImportDoc): Promise<void> {
      const again = { $set: { applied: false, outcome: null, changed: 0, failed: 0 } };
      await eachBatch({ import: row._id, reading: row.reading ?? '', applied: true }, (filter) => ({
        updateOne: { filter, update: again },
      }));
      const none = { 'rows.changed': 0, 'rows.unchanged': 0, 'rows.failed': 0 };
      await models.imports.updateOne({ _id: row._id }, { $set: none });
    },

    /** The next batch that was not applied; null where all were. */
    async nextBatch(row: ImportDoc): Promise<ImportBatchDoc | null> {
      return (await batchesOf(row, { applied: false }).limit(1))[0] ?? null;
    },

    /**
     * Applies one batch, all of its good rows or, where it is killed before the commit, none.
     * @param planned what earlier batches of a dry run would have made; null where rows are really changed
     */
    async applyBatch(row: ImportDoc, batch: ImportBatchDoc, planned: Planned | null): Promise<Applied<ImportChange>> {
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await decide(row, batch, planned);
        } catch (error) {
          // Somebody made the same SKU just now: it is seen as there the next time.
          if (!isDuplicateKey(error) || attempt >= TRIES) throw error;
        }
      }
    },

    /** Ends the import and its operation. Whoever ended the reading may have been killed before it tidied up. */
    async end(id: string): Promise<void> {
      await tidy(await byId(id));
      await db.transact(async (session) => {
        const row = await models.imports
          .findOneAndUpdate(
            { _id: id, status: 'running' },
            { $set: { status: 'done', endedAt: now() } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (!row) return;
        const { total, changed, unchanged, failed } = row.rows;
        await operations.end(session, importId(id), 'done', {
          result: { import: id, dryRun: row.dryRun, rows: { total, changed, unchanged, failed } },
          progress: { done: total - failed, failed, total },
        });
      });
    },

    /** Ends it where it can't go on. What was applied until then stays, and can be undone. */
    async stop(
      id: string,
      status: 'failed' | 'abandoned',
      failure: { code: FailureCode; detail: string; problem: string | null },
    ): Promise<void> {
      await db.transact(async (session) => {
        const { matchedCount } = await models.imports.updateOne(
          { _id: id, status: 'running' },
          { $set: { status, failure, endedAt: now() } },
          { session },
        );
        if (matchedCount > 0) await operations.end(session, importId(id), status, { error: failure });
      });
      await tidy(await byId(id));
    },

    /**
     * Begins the undo and lists its operation. The same command again finds it begun; one that failed goes on where it
     * stopped. 409 `import_undone` where it was undone before, `import_not_undoable` where there is nothing to undo, or not
     * yet.
     */
    beginUndo(account: string, id: string, command: string): Promise<ImportDoc> {
      return db.transact(async (session) => {
        const row = found(await models.imports.findOne({ _id: id, account }).session(session).lean(), 'import');
        const hasFailed = row.undo?.status === 'failed';
        if (row.undo && !hasFailed && row.undo.command === command) return row;
        if (row.undo && !hasFailed)
          throw new HubError('import_undone', 'An import can be undone once', { members: { undo: row.undo.status } });
        if (row.dryRun) throw new HubError('import_not_undoable', 'A dry run changed nothing');
        if (row.status === 'running') throw new HubError('import_not_undoable', 'The import is still running');
        const { restored, left } = row.undo ?? { restored: 0, left: 0 };
        const undo = { status: 'running' as const, command, restored, left };
        await models.imports.updateOne({ _id: id }, { $set: { undo } }, { session });
        await operations.begin(session, {
          workflowId: importUndoId(id),
          kind: 'import_undo',
          accounts: [account],
          document: id,
        });
        return { ...row, undo };
      });
    },

    /** The last batch that changed something and was not undone; null where there is none. */
    async lastBatch(row: ImportDoc): Promise<ImportBatchDoc | null> {
      return (await batchesOf(row, { applied: true, undone: false, changed: { $gt: 0 } }, -1).limit(1))[0] ?? null;
    },

    /** Restores what one batch overwrote. */
    async undoBatch(row: ImportDoc, batch: ImportBatchDoc): Promise<{ restored: number; left: number }> {
      const { changes } = open<BatchOutcome>(row, batch._id, 'outcome', batch.outcome ?? '');
      return db.transact(async (session) => {
        const remains = await kinds[row.kind].revert(session, row.account, changes, `import ${row._id} undone`);
        const left = new Set(remains.map(({ line }) => line)).size;
        const restored = changes.length - left;
        const { matchedCount } = await models.importBatches.collection.updateOne(
          { _id: batch._id as never, undone: false },
          { $set: { undone: true, left, remains: seal(row, batch._id, 'remains', remains) } },
          { session },
        );
        if (matchedCount === 0) throw new HubError('unavailable', 'The batch was undone just now');
        const counted = await models.imports.collection.updateOne(
          { _id: row._id as never, 'undo.status': 'running' },
          { $inc: { 'undo.restored': restored, 'undo.left': left } },
          { session },
        );
        if (counted.matchedCount === 0) throw new HubError('unavailable', 'The undo was stopped just now');
        return { restored, left };
      }, `imports/${row.account}`);
    },

    async endUndo(id: string): Promise<void> {
      await db.transact(async (session) => {
        const row = await models.imports
          .findOneAndUpdate(
            { _id: id, 'undo.status': 'running' },
            { $set: { 'undo.status': 'done' } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (!row?.undo) return;
        const { restored, left } = row.undo;
        await operations.end(session, importUndoId(id), 'done', {
          result: { import: id, restored, left },
          progress: { done: restored, failed: left, total: restored + left },
        });
      });
    },

    /** Ends an undo that can't go on; the rows that it did not come to stay as they are until it is begun again. */
    async stopUndo(
      id: string,
      status: 'failed' | 'abandoned',
      error: { code: FailureCode; detail: string },
    ): Promise<void> {
      await db.transact(async (session) => {
        const { matchedCount } = await models.imports.updateOne(
          { _id: id, 'undo.status': 'running' },
          { $set: { 'undo.status': 'failed' } },
          { session },
        );
        if (matchedCount > 0) await operations.end(session, importUndoId(id), status, { error });
      });
    },

    /** Errors of rows, by batch; of the rows whose batch was not applied yet none. */
    async *errors(row: ImportDoc): AsyncGenerator<RowError> {
      for await (const batch of batchesOf(row, { failed: { $gt: 0 } }).cursor())
        yield* open<BatchOutcome>(row, batch._id, 'outcome', batch.outcome ?? '').errors;
    },

    /** What rows changed (in a dry run: would). */
    async *changes(row: ImportDoc): AsyncGenerator<ImportChange> {
      for await (const batch of batchesOf(row, { changed: { $gt: 0 } }).cursor())
        yield* open<BatchOutcome>(row, batch._id, 'outcome', batch.outcome ?? '').changes;
    },

    /** Whether a row of it turned distribution on. */
    async hasDistributed(row: ImportDoc): Promise<boolean> {
      if (row.kind !== 'skus' || !row.mayDistribute) return false;
      for await (const batch of batchesOf(row, { changed: { $gt: 0 } }).cursor()) {
        const { changes } = open<BatchOutcome>(row, batch._id, 'outcome', batch.outcome ?? '');
        if (changes.some((change) => 'publication' in change && change.publication !== null)) return true;
      }
      return false;
    },

    /** Rows that the undo left as they are. */
    async *left(row: ImportDoc): AsyncGenerator<RowLeft> {
      for await (const batch of batchesOf(row, { left: { $gt: 0 } }).cursor())
        yield* open<RowLeft[]>(row, batch._id, 'remains', batch.remains ?? '');
    },
  };
}

export type { Planned, RowChange, RowLeft };
