import { allHandlersFinished, condition, continueAsNew, setHandler, workflowInfo } from '@temporalio/workflow';
import { LANE_LINGER_MS } from '../config/timeouts';
import { due } from './messages';
import { local, store } from './proxies';

export interface ClaimLaneInput {
  readonly supplier: string;
}

/**
 * Gives the claims on a supplier's products the causes that hold, after a change of rules or products that concerns more
 * partnerships than the request itself looked at. Contract: catalogue.md, Claims, Visibility rules.
 *
 * Id `claim-lane/{supplier}`: one at a time. Signal `due`. All it does is our own database, so it is retried until it is
 * done. It ends when nothing was due for a while, and continues as new on the server's suggestion.
 */
export async function claimLane(input: ClaimLaneInput): Promise<void> {
  let isDue = true;
  setHandler(due, () => {
    isDue = true;
  });
  while (isDue || (await condition(() => isDue, LANE_LINGER_MS)) || isDue) {
    isDue = false;
    const { more } = await local.settleClaims(input).catch(() => store.settleClaims(input));
    if (more) isDue = true;
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof claimLane>(input);
    }
  }
}
