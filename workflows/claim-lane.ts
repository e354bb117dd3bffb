import { allHandlersFinished, condition, continueAsNew, setHandler } from '@temporalio/workflow';
import { LANE_LINGER_MS } from '../config/timeouts';
import { isHistoryLong } from './history';
import { due } from './messages';
import { store } from './proxies';

export interface ClaimLaneInput {
  readonly supplier: string;
}

/**
 * Gives the claims on a supplier's products the causes that hold, after a change of rules or products that concerns more
 * partnerships than the request itself looked at. Contract: catalogue.md, Claims, Visibility rules.
 *
 * Id `claim-lane/{supplier}`: one at a time. Signal `due`. All it does is our own database, so it is retried until it is
 * done. It ends when nothing was due for a while, and continues as new before its history grows long.
 */
export async function claimLane(input: ClaimLaneInput): Promise<void> {
  let isDue = true;
  setHandler(due, () => {
    isDue = true;
  });
  while (isDue || (await condition(() => isDue, LANE_LINGER_MS)) || isDue) {
    isDue = false;
    // No local activity: one that runs while signals come in is sent off with them in another order than it replays in, should
    // its workflow task end meanwhile (a worker that is late, or a hundred signals), and nothing would ever run again.
    const { more } = await store.settleClaims(input);
    if (more) isDue = true;
    if (isHistoryLong()) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof claimLane>(input);
    }
  }
}
