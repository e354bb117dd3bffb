import { continueAsNew, sleep } from '@temporalio/workflow';
import { PUSH_LOOK_LONGEST_MS, PUSH_LOOK_MS } from '../config/timeouts';
import { isHistoryLong } from './history';
import { watching } from './proxies';

export interface StockPushInput {
  readonly job: string;
  /** Carried over when it continues as new: nothing is left to mark. */
  readonly marked?: boolean;
}

/**
 * Push Now. Contract: stock-push.md, Fan-out.
 *
 * Id `stock-push/{job}`. Marks every listing it is for, to be sent by the lanes of their stores in any case, and ends when
 * none of them waits any more: accepted, refused, or given up with its lane. A lane that is parked keeps it waiting. All it
 * does itself is our own database, so it is retried until it is done; it continues as new before its history grows long.
 */
export async function stockPush(input: StockPushInput): Promise<void> {
  const { job } = input;
  if (!input.marked) while (!(await watching.markStockPush({ job })).marked);
  for (let pauseMs = PUSH_LOOK_MS; ; pauseMs = Math.min(pauseMs * 2, PUSH_LOOK_LONGEST_MS)) {
    const { done, moved } = await watching.watchStockPush({ job });
    if (done) return;
    if (moved) pauseMs = PUSH_LOOK_MS;
    if (isHistoryLong()) await continueAsNew<typeof stockPush>({ job, marked: true });
    await sleep(pauseMs);
  }
}
