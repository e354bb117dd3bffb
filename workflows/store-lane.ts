import { allHandlersFinished, condition, continueAsNew, setHandler, sleep } from '@temporalio/workflow';
import type { LanePass } from '../activities/store-lane';
import { LANE_LINGER_MS } from '../config/timeouts';
import { type FailureWords, failureWords } from './failures';
import { isHistoryLong } from './history';
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
  /** Carried over when it continues as new. */
  readonly carried?: {
    /** When the last batch went out, epoch ms. */
    readonly lastBatchAt: number;
    /** What it was parked with. */
    readonly parkedWith: ParkedWith | null;
  };
}

type ParkedWith = { readonly needsOwner: boolean } & FailureWords;

/**
 * Sends what is due to one store. Contract: stock-push.md, Fan-out.
 *
 * Id `store-lane/{store}`: one at a time, so pushes to one listing never overtake each other and a store that is slow or
 * down delays no other. Signal `due`. The first batch goes at once, the next ones at the pace; each sends the newest
 * quantities. Throttled: waits as told. Down: the pass is retried with growing waits; when they are used up, or the store
 * needs its owner, it parks: updates `retry` and `abandon`. It ends when nothing was due for a while, and continues as new
 * on the server's suggestion, parked or not.
 */
export async function storeLane(input: StoreLaneInput): Promise<void> {
  let isDue = true;
  let lastBatchAt = input.carried?.lastBatchAt ?? 0;
  let parkedWith = input.carried?.parkedWith ?? null;
  setHandler(due, () => {
    isDue = true;
  });
  const parking = installParking();
  const pass = lanePass(input.budget);

  while (isDue || (await condition(() => isDue, Math.max(LANE_LINGER_MS, input.pacingMs))) || isDue) {
    if (parkedWith === null) {
      isDue = false;
      const result = await sendDue();
      lastBatchAt = result.lastBatchAt;
      if (result.end === 'throttled') await sleep(result.retryAfterMs);
      if (result.end === 'failed' || result.end === 'needs_authorization')
        parkedWith = { needsOwner: result.end === 'needs_authorization', code: result.code, detail: result.detail };
      if (result.end !== 'drained') isDue = true;
    }
    if (parkedWith !== null && (await decided(parkedWith))) parkedWith = null;
    if (isHistoryLong()) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof storeLane>({ ...input, carried: { lastBatchAt, parkedWith } });
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

  /** Parks until an operator decides. @returns false where the history has grown too long first: it parks on in a new run */
  async function decided({ needsOwner, code, detail }: ParkedWith): Promise<boolean> {
    const failure = { store: input.store, code, detail };
    const decision = await parking.wait(
      needsOwner
        ? `The store must be authorised again by its owner: ${detail}. Then **retry**; **abandon** marks what is due as failed.`
        : `The store does not take its quantities: ${detail}. Waits for **retry** (tries again) or **abandon** (marks what is due as failed).`,
      { onParked: () => store.parkLane(failure), orUntil: () => isHistoryLong() },
    );
    if (decision === null) return false;
    if (decision === 'abandon') await store.abandonLane(failure);
    else await store.resumeLane({ store: input.store });
    return true;
  }
}
