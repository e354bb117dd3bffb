/** What runs as a workflow, as answers show it: started with 202, or waited for. */
import { isHubError } from '../domain/failures';
import { operationIdOf } from '../domain/process-ids';
import { OPERATION_STATUSES, type OperationDoc } from '../store/models/documents';
import type { OperationStart } from '../store/repositories/operations';
import type { Hub } from './hub';
import type { Answer, RouteRequest } from './route';
import { time } from './schemas/values';
import { z } from './schemas/zod';

export const operationSchema = z
  .object({
    id: z.string(),
    kind: z.string().openapi({ example: 'order_push' }),
    status: z.enum(OPERATION_STATUSES),
    document: z.string().openapi({ description: 'What it is about' }),
    progress: z.object({ done: z.int(), failed: z.int(), total: z.int() }),
    result: z.record(z.string(), z.unknown()).nullable(),
    error: z.object({ code: z.string(), detail: z.string(), hint: z.string().nullable() }).nullable(),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Operation');

export const operationOf = (row: OperationDoc) => ({
  id: row._id,
  kind: row.kind,
  status: row.status,
  document: row.document,
  progress: row.progress,
  result: row.result,
  error: row.error,
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
});

export const operationAnswer = z.object({ operation: operationSchema });

const operationLocation = (id: string) => `/v1/operations/${encodeURIComponent(id)}`;

/** Lists an operation before its workflow is started. A repeat finds it as it is. */
export async function listOperation(hub: Hub, account: string, start: OperationStart): Promise<OperationDoc> {
  try {
    return await hub.store.operations.get(account, operationIdOf(start.workflowId));
  } catch (error) {
    if (!isHubError(error) || error.code !== 'not_found') throw error;
    return hub.store.operations.begin(null, start);
  }
}

/**
 * Starts the workflow of what is stored already. Where it can't be started now, the sweep does it: the caller was
 * answered 503 before anything was stored, if the workflow service was down by then.
 */
export async function startStored(hub: Hub, start: () => Promise<void>): Promise<void> {
  try {
    await start();
  } catch (error) {
    if (!isHubError(error) || error.code !== 'unavailable') throw error;
    hub.logger.warn('Start left to the sweep', { error });
  }
}

/** Waits as long as the caller asked for the end (or the parking) of a workflow. @returns whether it came */
export async function endsInTime(hub: Hub, workflowId: string, waitMs: number): Promise<boolean> {
  try {
    return await hub.processes.waitFor(workflowId, waitMs);
  } catch (error) {
    if (isHubError(error) && error.code === 'unavailable') return false;
    throw error;
  }
}

/**
 * 202 with the operation and where to look; 200 where it ended while the caller waited, or was over before.
 * @param extra further members of the answer
 */
export async function operationStarted(
  hub: Hub,
  request: Pick<RouteRequest, 'account' | 'waitMs'>,
  workflowIds: readonly [string, ...string[]],
  options: { extra?: (operations: readonly OperationDoc[]) => object; over?: boolean } = {},
): Promise<Answer> {
  const { account, waitMs } = request;
  const rowsNow = () =>
    Promise.all(workflowIds.map((workflowId) => hub.store.operations.get(account, operationIdOf(workflowId))));
  // What was over at once (a recall of what nobody began to pack) never had a workflow.
  const running = waitMs > 0 ? (await rowsNow()).filter(({ status }) => status === 'running') : [];
  const ended = (await Promise.all(running.map(({ workflowId }) => endsInTime(hub, workflowId, waitMs)))).every(
    Boolean,
  );
  const rows = await rowsNow();
  const [first] = rows as [OperationDoc, ...OperationDoc[]];
  const over = options.over || (waitMs > 0 && ended && rows.every(({ status }) => status !== 'running'));
  return {
    status: over ? 200 : 202,
    headers: {
      Location: operationLocation(first._id),
      ...(waitMs > 0 ? { 'Preference-Applied': `wait=${waitMs / 1000}` } : {}),
    },
    body: { operation: operationOf(first), ...options.extra?.(rows) },
  };
}
