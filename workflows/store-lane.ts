import { allHandlersFinished, condition, continueAsNew, setHandler, sleep, workflowInfo } from '@temporalio/workflow';
import type { LanePass } from '../activities/store-lane';
import { LANE_LINGER_MS } from '../config/timeouts';
import { failureWords } from './failures';
import { due } from './messages';
import { installParking } from './parking';
import { lanePass, type RetryBudget, store } from './proxies';

export interface StoreLaneInput {
  readonly store: string;
  /** At most one batch per this. Milliseconds. */
  readonly pacingMs: number;
  /** Batches of one pass. */
  readonly batches: number;
  readonly budget: RetryBudget;
  /** When the last batch went out, epoch ms; carried over when it continues as new. */
  readonly lastBatchAt?: number;
}

/**
 * Sends what is due to one store. Contract: stock-push.md, Fan-out.
 *
 * Id `store-lane/{store}`: one at a time, so pushes to one listing never overtake each other and a store that is slow or
 * down delays no other. Signal `due`. The first batch goes at once, the next ones at the pace; each sends the newest
 * quantities. Throttled: waits as told. Down: the pass is retried with growing waits; when they are used up, or the store
 * needs its owner, it parks: updates `retry` and `abandon`. It ends when nothing was due for a while, and continues as new
 * on the server's suggestion.
 */
export async function storeLane(input: StoreLaneInput): Promise<void> {
  let isDue = true;
  let lastBatchAt = input.lastBatchAt ?? 0;
  setHandler(due, () => {
    isDue = true;
  });
  const parking = installParking();
  const pass = lanePass(input.budget);

  while (isDue || (await condition(() => isDue, Math.max(LANE_LINGER_MS, input.pacingMs))) || isDue) {
    isDue = false;
    const result = await sendDue();
    lastBatchAt = result.lastBatchAt;
    if (result.end === 'more') isDue = true;
    else if (result.end === 'throttled') {
      await sleep(result.retryAfterMs);
      isDue = true;
    } else if (result.end === 'failed' || result.end === 'needs_authorization') {
      await park(result);
      isDue = true;
    }
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof storeLane>({ ...input, lastBatchAt });
    }
  }
  await condition(allHandlersFinished);

  async function sendDue(): Promise<LanePass> {
    try {
      return await pass.sendDue({ store: input.store, pacingMs: input.pacingMs, batches: input.batches, lastBatchAt });
    } catch (error) {
      return { end: 'failed', lastBatchAt, ...failureWords(error) };
    }
  }

  async function park(failure: Extract<LanePass, { end: 'failed' | 'needs_authorization' }>): Promise<void> {
    await store.parkLane({ store: input.store, code: failure.code, detail: failure.detail });
    const decision = await parking.wait(
      failure.end === 'needs_authorization'
        ? `The store must be authorised again by its owner: ${failure.detail}. Then **retry**; **abandon** marks what is due as failed.`
        : `The store does not take its quantities: ${failure.detail}. Waits for **retry** (tries again) or **abandon** (marks what is due as failed).`,
    );
    if (decision === 'abandon')
      await store.abandonLane({ store: input.store, code: failure.code, detail: failure.detail });
    else await store.resumeLane({ store: input.store });
  }
}
