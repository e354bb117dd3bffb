/** Bulk operations: one command for many objects, worked off by a process, with a result for each. Contract: orders.md, Push. */
import type { FailureCode } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { bulkOperationId } from '../../domain/process-ids';
import { type Database, found } from '../database';
import type { BulkDoc, BulkItemDoc, OperationDoc } from '../models/documents';
import { createOperationRepository } from './operations';

export type BulkKind = BulkDoc['kind'];
/** Operations that are bulk operations, for the sweep. */
export const BULK_OPERATIONS: Readonly<Record<BulkKind, string>> = {
  push: 'bulk_push',
  retry: 'bulk_retry',
  abandon: 'bulk_abandon',
};

/** What became of one object; `ok` counts it as done. */
export interface BulkResult {
  readonly ok: boolean;
  readonly [field: string]: unknown;
}

const itemId = (bulk: string, index: number) => `${bulk}/${String(index).padStart(5, '0')}`;

export function createBulkRepository(db: Database) {
  const { models, now } = db;
  const operations = createOperationRepository(db);

  async function counts(bulk: string): Promise<OperationDoc['progress']> {
    const [total, done, failed] = await Promise.all([
      models.bulkItems.countDocuments({ bulk }),
      models.bulkItems.countDocuments({ bulk, state: 'done' }),
      models.bulkItems.countDocuments({ bulk, state: 'failed' }),
    ]);
    return { done, failed, total };
  }

  return {
    /** Lists the operation and what it is of, in one transaction. The same command again finds the first. */
    async begin(
      account: string,
      command: string,
      input: { kind: BulkKind; by: string; items: readonly string[] },
    ): Promise<BulkDoc> {
      const { kind, by, items } = input;
      const row: BulkDoc = { _id: idFor('bulk', command), account, kind, by, createdAt: now() };
      return db.transact(async (session) => {
        const there = await models.bulks.findOne({ _id: row._id, account }).session(session).lean();
        if (there) return there;
        await models.bulks.collection.insertOne(row as never, { session });
        await models.bulkItems.collection.insertMany(
          items.map((item, index) => ({
            ...{ _id: itemId(row._id, index), bulk: row._id, item, state: 'waiting' },
            ...{ waitsFor: [], result: null },
          })) as never,
          { session },
        );
        const start = { workflowId: bulkOperationId(row._id), kind: BULK_OPERATIONS[kind], total: items.length };
        await operations.begin(session, { ...start, accounts: [account], document: row._id });
        return row;
      });
    },

    async get(id: string): Promise<BulkDoc> {
      return found(await models.bulks.findById(id).lean(), 'bulk operation');
    },

    /** The next that nothing was done about yet. */
    async waiting(bulk: string, limit: number): Promise<BulkItemDoc[]> {
      return models.bulkItems.find({ bulk, state: 'waiting' }).sort({ _id: 1 }).limit(limit).lean();
    },

    /** Those that were begun and whose end is not known. */
    async begun(bulk: string): Promise<BulkItemDoc[]> {
      return models.bulkItems.find({ bulk, state: 'begun' }).sort({ _id: 1 }).lean();
    },

    /** It is under way now. @param waitsFor what has to end before its result is known */
    async noteBegun(item: string, waitsFor: readonly string[], result: Record<string, unknown> | null = null) {
      await models.bulkItems.updateOne(
        { _id: item, state: { $in: ['waiting', 'begun'] } },
        { $set: { state: 'begun', waitsFor: [...waitsFor], result } },
      );
    },

    async noteEnd(item: string, { ok, ...result }: BulkResult): Promise<void> {
      await models.bulkItems.updateOne(
        { _id: item, state: { $in: ['waiting', 'begun'] } },
        { $set: { state: ok ? 'done' : 'failed', waitsFor: [], result } },
      );
    },

    /** Writes the progress on the operation; with the last result it is done, and holds them all. */
    async report(bulk: string): Promise<OperationDoc['progress'] & { over: boolean }> {
      const progress = await counts(bulk);
      const over = progress.done + progress.failed === progress.total;
      if (!over) await operations.progress(bulkOperationId(bulk), progress);
      else {
        const items = await models.bulkItems.find({ bulk }).sort({ _id: 1 }).lean();
        const results = items.map(({ state, result }) => ({ ok: state === 'done', ...result }));
        await operations.end(null, bulkOperationId(bulk), 'done', { progress, result: { results } });
      }
      return { ...progress, over };
    },

    /** Nothing more is begun; what was begun goes on by itself. */
    async stop(bulk: string, error: { code: FailureCode; detail: string }): Promise<void> {
      await operations.end(null, bulkOperationId(bulk), 'abandoned', { error, progress: await counts(bulk) });
    },
  };
}
