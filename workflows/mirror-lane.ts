import { allHandlersFinished, condition, continueAsNew, setHandler } from '@temporalio/workflow';
import { LANE_LINGER_MS } from '../config/timeouts';
import { isHistoryLong } from './history';
import { due } from './messages';
import { store } from './proxies';

export interface MirrorLaneInput {
  readonly partnership: string;
}

/**
 * Brings a supplier's quantities into one distributor's supplier warehouses. Contract: stock-push.md, Distribution push rule.
 *
 * Id `mirror-lane/{partnership}`: one at a time. Signal `due`. All it does is our own database, so it is retried until it
 * is done. It ends when nothing was due for a while, and continues as new before its history grows long.
 */
export async function mirrorLane(input: MirrorLaneInput): Promise<void> {
  let isDue = true;
  setHandler(due, () => {
    isDue = true;
  });
  while (isDue || (await condition(() => isDue, LANE_LINGER_MS)) || isDue) {
    isDue = false;
    // No local activity: one that runs while signals come in is sent off with them in another order than it replays in, should
    // its workflow task end meanwhile (a worker that is late, or a hundred signals), and nothing would ever run again.
    const { more } = await store.mirrorDue(input);
    if (more) isDue = true;
    if (isHistoryLong()) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof mirrorLane>(input);
    }
  }
}
