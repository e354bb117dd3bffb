/** Activity profiles: every time-out and retry explicit. Types of activities only; values would drag their imports into the bundle. */
import { isCancellation, proxyActivities, proxyLocalActivities } from '@temporalio/workflow';
import type { Activities } from '../activities';
import {
  DOWNLOAD_MS,
  HEARTBEAT_MS,
  IMPORT_HEARTBEAT_MS,
  IMPORT_STEP_MS,
  LANE_PASS_MS,
  LOCAL_RETRY_MS,
  LOCAL_WRITE_MS,
  LOCAL_WRITE_TRIES,
  PLATFORM_STEP_MS,
  PUSH_WATCH_MS,
  STORE_LONGEST_WAIT_MS,
  STORE_WRITE_MS,
  SWEEP_MS,
} from '../config/timeouts';

/** How often a step that may fail for long is tried before its process parks, and how the waits grow. */
export interface RetryBudget {
  readonly attempts: number;
  readonly firstWaitMs: number;
  readonly longestWaitMs: number;
}

const retriesOf = (budget: RetryBudget) => ({
  maximumAttempts: budget.attempts,
  initialInterval: budget.firstWaitMs,
  backoffCoefficient: 2,
  maximumInterval: budget.longestWaitMs,
});

/** Our own fast writes, inside the workflow task. */
export const local = proxyLocalActivities<Activities>({
  startToCloseTimeout: LOCAL_WRITE_MS,
  retry: { maximumAttempts: LOCAL_WRITE_TRIES, initialInterval: LOCAL_RETRY_MS },
});

/** Our own writes that must happen in the end, however long the database is away. */
export const store = proxyActivities<Activities>({
  startToCloseTimeout: STORE_WRITE_MS,
  retry: { initialInterval: LOCAL_RETRY_MS * 4, backoffCoefficient: 2, maximumInterval: STORE_LONGEST_WAIT_MS },
});

/** Tried inside the task first; then until it is done, however long the database is away. */
export async function surely<T>(step: (on: typeof local | typeof store) => Promise<T>): Promise<T> {
  try {
    return await step(local);
  } catch (error) {
    if (isCancellation(error)) throw error;
    return step(store);
  }
}

/** A step with an end to its tries: past them the process parks. */
export const bounded = (
  budget: RetryBudget,
  startToCloseTimeout: number = STORE_WRITE_MS,
  heartbeatTimeout: number = HEARTBEAT_MS,
) =>
  proxyActivities<Activities>({
    startToCloseTimeout,
    heartbeatTimeout,
    retry: retriesOf(budget),
  });

/** Some batches of an import, or the reading of its file. */
export const importing = (budget: RetryBudget) => bounded(budget, IMPORT_STEP_MS, IMPORT_HEARTBEAT_MS);

/** One pass of a store's lane. */
export const lanePass = (budget: RetryBudget) => bounded(budget, LANE_PASS_MS);

/** Our own database, looked at or marked for a while. */
export const watching = proxyActivities<Activities>({
  startToCloseTimeout: PUSH_WATCH_MS * 4,
  heartbeatTimeout: HEARTBEAT_MS,
  retry: { initialInterval: LOCAL_RETRY_MS * 4, backoffCoefficient: 2, maximumInterval: STORE_LONGEST_WAIT_MS },
});

/** A call to a platform that is tried until it answers. */
export const remote = proxyActivities<Activities>({
  startToCloseTimeout: PLATFORM_STEP_MS,
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 60_000 },
});

/** Many of our own steps at once, tried until they are done; reports that it lives. */
export const remoteStep = proxyActivities<Activities>({
  startToCloseTimeout: PLATFORM_STEP_MS,
  heartbeatTimeout: HEARTBEAT_MS,
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: STORE_LONGEST_WAIT_MS },
});

/** A call to somebody else that parks the process once its tries are used up: one call, which reports nothing meanwhile. */
export const calling = (budget: RetryBudget) =>
  proxyActivities<Activities>({ startToCloseTimeout: PLATFORM_STEP_MS, retry: retriesOf(budget) });

/** Sending a notification: a try ends by itself, so it needs no heartbeat to be found dead. */
export const sending = (budget: RetryBudget, tryMs: number) =>
  proxyActivities<Activities>({ startToCloseTimeout: tryMs, retry: retriesOf(budget) });

/** Many pages; reports where it is, and goes on there. */
export const download = proxyActivities<Activities>({
  startToCloseTimeout: DOWNLOAD_MS,
  heartbeatTimeout: HEARTBEAT_MS,
  retry: { initialInterval: 1_000, backoffCoefficient: 2, maximumInterval: 60_000, maximumAttempts: 20 },
});

/** The sweep: the next one comes anyway. */
export const sweeping = proxyActivities<Activities>({
  startToCloseTimeout: SWEEP_MS,
  // That of a worker that died would hold back all others until its time-out.
  heartbeatTimeout: HEARTBEAT_MS,
  retry: { maximumAttempts: 1 },
});
