/** Operations: what runs as a workflow, as the API and the console list it. Search attributes lag, so lists come from here. */
import type { ClientSession } from 'mongoose';
import { type FailureCode, hintOf } from '../../domain/failures';
import { operationIdOf } from '../../domain/process-ids';
import {
  type Database,
  found,
  newestFirst,
  olderThan,
  type Page,
  type PageRequest,
  timeCursor,
  toPage,
} from '../database';
import type { OperationDoc, OperationStatus } from '../models/documents';

export interface OperationStart {
  readonly workflowId: string;
  readonly kind: string;
  /** Who may see it. */
  readonly accounts: readonly string[];
  readonly document: string;
  /** How much there is to do; 1 where absent. */
  readonly total?: number;
}

export function createOperationRepository({ models, now }: Database) {
  return {
    /** Inserts the operation, or sets an old one to running again. */
    async begin(session: ClientSession | null, start: OperationStart): Promise<OperationDoc> {
      const at = now();
      const row = await models.operations
        .findOneAndUpdate(
          { _id: operationIdOf(start.workflowId) },
          {
            $set: { status: 'running', error: null, updatedAt: at },
            $setOnInsert: {
              accounts: [...start.accounts],
              kind: start.kind,
              workflowId: start.workflowId,
              document: start.document,
              progress: { done: 0, failed: 0, total: start.total ?? 1 },
              result: null,
              createdAt: at,
            },
          },
          { upsert: true, returnDocument: 'after', session },
        )
        .lean();
      return found(row, 'operation');
    },

    async end(
      session: ClientSession | null,
      workflowId: string,
      status: OperationStatus,
      outcome: {
        result?: Record<string, unknown>;
        error?: { code: FailureCode; detail: string };
        progress?: OperationDoc['progress'];
      },
    ): Promise<void> {
      const error = outcome.error ? { ...outcome.error, hint: hintOf(outcome.error.code) || null } : null;
      const done = status === 'done' ? 1 : 0;
      await models.operations.collection.updateOne(
        { _id: operationIdOf(workflowId) } as never,
        {
          $set: {
            status,
            error,
            updatedAt: now(),
            progress: outcome.progress ?? {
              done,
              failed: status === 'failed' || status === 'abandoned' ? 1 : 0,
              total: 1,
            },
            ...(outcome.result === undefined ? {} : { result: outcome.result }),
          },
        },
        session ? { session } : {},
      );
    },

    async progress(workflowId: string, progress: OperationDoc['progress']): Promise<void> {
      await models.operations.updateOne({ _id: operationIdOf(workflowId) }, { $set: { progress, updatedAt: now() } });
    },

    async get(account: string, id: string): Promise<OperationDoc> {
      return found(await models.operations.findById(id).lean(), 'operation', (row) => row.accounts.includes(account));
    },

    /** The operation that a workflow is, for the hub itself; null where it is none. */
    async ofWorkflow(workflowId: string): Promise<OperationDoc | null> {
      return models.operations.findById(operationIdOf(workflowId)).lean();
    },

    async list(
      account: string,
      filter: { status?: OperationStatus; kind?: string },
      page: PageRequest,
    ): Promise<Page<OperationDoc>> {
      const rows = await models.operations
        .find({
          accounts: account,
          ...filter,
          ...olderThan('createdAt', page.after),
        })
        .sort(newestFirst('createdAt'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.createdAt, row._id));
    },

    /** Operations that should have a running workflow and were last heard of before the given time. */
    async running(kinds: readonly string[], before: Date, limit: number): Promise<OperationDoc[]> {
      return models.operations
        .find({ kind: { $in: [...kinds] }, status: { $in: ['running', 'parked'] }, updatedAt: { $lt: before } })
        .limit(limit)
        .lean();
    },
  };
}
