/** Push Now: marks its listings, and tells how far the lanes are with them. */
import { setTimeout as wait } from 'node:timers/promises';
import { PUSH_WATCH_MS } from '../config/timeouts';
import { stockPushId } from '../domain/process-ids';
import type { PushCount } from '../store/repositories/stock-pushes';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

/** How often the count is looked at while somebody may wait for it, growing. Milliseconds. */
const LOOK_FIRST_MS = 50;
const LOOK_LONGEST_MS = 1_000;

interface StockPushInput {
  readonly job: string;
}

/** What is not accepted is not done. */
const progressOf = ({ waiting, outcomes, total }: PushCount) => ({
  done: outcomes.accepted,
  failed: total - waiting - outcomes.accepted,
  total,
});

export function createStockPushActivities({ store, processes, heartbeat, isCancelled }: ActivityDeps) {
  async function report(input: StockPushInput): Promise<PushCount> {
    const count = await store.stockPushes.count(input.job);
    const progress = progressOf(count);
    if (count.waiting > 0) await store.operations.progress(stockPushId(input.job), progress);
    else await store.operations.end(null, stockPushId(input.job), 'done', { result: { ...count.outcomes }, progress });
    return count;
  }

  async function watch(input: StockPushInput): Promise<{ done: boolean; moved: boolean }> {
    const end = Date.now() + PUSH_WATCH_MS;
    const first = await report(input);
    let { waiting } = first;
    for (let pause = LOOK_FIRST_MS; waiting > 0 && Date.now() < end && !isCancelled(); pause *= 2) {
      await wait(Math.min(pause, LOOK_LONGEST_MS));
      waiting = (await report(input)).waiting;
    }
    const moved = waiting < first.waiting;
    if (waiting > 0 && !moved) await store.stockPushes.dropLost(input.job);
    return { done: waiting === 0, moved };
  }

  return {
    /** Marks listings for as long as a step may take. Goes on where it stopped. */
    markStockPush: (input: StockPushInput): Promise<{ marked: boolean }> =>
      whileAlive(heartbeat, async () => {
        const end = Date.now() + PUSH_WATCH_MS;
        for (;;) {
          const { marked, lanes } = await store.stockPushes.mark(input.job);
          processes.wakeLanes(lanes);
          if (marked || Date.now() > end || isCancelled()) return { marked };
        }
      }),

    /** Looks for a while how far it is, and ends the operation when nothing waits any more. */
    watchStockPush: (input: StockPushInput) => whileAlive(heartbeat, () => watch(input)),
  };
}
