import {
  allHandlersFinished,
  CancellationScope,
  condition,
  continueAsNew,
  isCancellation,
  setCurrentDetails,
  setHandler,
  sleep,
} from '@temporalio/workflow';
import { isHistoryLong } from './history';
import { progress as progressQuery } from './messages';
import { remoteStep, store } from './proxies';

export interface BulkOperationInput {
  readonly bulk: string;
  /** The first pause where all is begun and some have not ended; it doubles up to the longest. Milliseconds. */
  readonly pauseMs: number;
  readonly longestPauseMs: number;
}

/**
 * One command for many objects: pushes of orders, decisions about parked operations. Contract: orders.md, Push.
 *
 * Id `bulk-operation/{bulk}`; query `progress`. It begins some objects at a time, each with its own result, then waits for
 * the ends of those that run as processes of their own. A step that fails is tried until it is done: what was noted of an
 * object is not done again. A cancellation begins no more. It continues as new before its history grows long.
 */
export async function bulkOperation(input: BulkOperationInput): Promise<void> {
  let progress = { done: 0, failed: 0, total: 0 };
  setHandler(progressQuery, () => progress, { description: 'Objects done, failed, and in all' });
  try {
    for (let pauseMs = input.pauseMs; ; ) {
      const step = await remoteStep.bulkStep({ bulk: input.bulk });
      progress = step.progress;
      if (!step.more) return;
      if (step.waits) {
        setCurrentDetails(`${progress.done + progress.failed} of ${progress.total} have ended; waits for the others.`);
        await sleep(pauseMs);
        pauseMs = Math.min(pauseMs * 2, input.longestPauseMs);
      }
      if (isHistoryLong()) {
        await condition(allHandlersFinished);
        await continueAsNew<typeof bulkOperation>(input);
      }
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
    await CancellationScope.nonCancellable(() =>
      store.stopBulk({ bulk: input.bulk, why: 'The workflow was cancelled: nothing more is begun' }),
    );
  }
}
