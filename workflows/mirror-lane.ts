import { allHandlersFinished, condition, continueAsNew, setHandler, workflowInfo } from '@temporalio/workflow';
import { LANE_LINGER_MS } from '../config/timeouts';
import { due } from './messages';
import { local, store } from './proxies';

export interface MirrorLaneInput {
  readonly partnership: string;
}

/**
 * Brings a supplier's quantities into one distributor's supplier warehouses. Contract: stock-push.md, Distribution push rule.
 *
 * Id `mirror-lane/{partnership}`: one at a time. Signal `due`. All it does is our own database, so it is retried until it
 * is done. It ends when nothing was due for a while, and continues as new on the server's suggestion.
 */
export async function mirrorLane(input: MirrorLaneInput): Promise<void> {
  let isDue = true;
  setHandler(due, () => {
    isDue = true;
  });
  while (isDue || (await condition(() => isDue, LANE_LINGER_MS)) || isDue) {
    isDue = false;
    const { more } = await local.mirrorDue(input).catch(() => store.mirrorDue(input));
    if (more) isDue = true;
    if (workflowInfo().continueAsNewSuggested) {
      await condition(allHandlersFinished);
      await continueAsNew<typeof mirrorLane>(input);
    }
  }
}
