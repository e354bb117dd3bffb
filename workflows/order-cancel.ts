import { condition, setCurrentDetails, setHandler } from '@temporalio/workflow';
import type { CancellationAttempt } from '../activities/order-cancel';
import { PLATFORM_STEP_MS } from '../config/timeouts';
import type { CancellationEnd } from '../domain/cancellations';
import { orFailure } from './failures';
import { settled } from './messages';
import { installParking } from './parking';
import { bounded, type RetryBudget, store } from './proxies';

export interface OrderCancelInput extends CancellationAttempt {
  readonly budget: RetryBudget;
  /** How long it waits for an operator before it gives up. Milliseconds. */
  readonly parkedMs: number;
  /** It looks at its recalls at least so often, should nobody tell it. Milliseconds. */
  readonly lookMs: number;
}

/**
 * Cancels one order, for its seller or because its buyer asks for it: what suppliers have of it is recalled, then the
 * platform is told, then what is held is released. Contract: orders.md, Recall.
 *
 * Id `order-cancel/{order}/{attempt}`. Signal `settled`: a recall ended, look. Telling the platform is tried with growing
 * waits; when the tries are used up, or it refuses, it parks: updates `retry` and `abandon` (as signals too); after
 * `parkedMs` it gives up and the order goes on. It never continues as new: a recall lasts a day.
 */
export async function orderCancel(input: OrderCancelInput): Promise<CancellationEnd> {
  const parking = installParking();
  const which = { order: input.order, attempt: input.attempt };
  let heard = false;
  setHandler(settled, () => {
    heard = true;
  });
  for (;;) {
    heard = false;
    const direction = await store.advanceCancellation(which);
    if (direction.next === 'end') return direction.outcome;
    if (direction.next === 'tell') break;
    setCurrentDetails(`Cancellation of ${input.order}: waits for its suppliers to give it back.`);
    await condition(() => heard, input.lookMs);
  }
  setCurrentDetails('');
  for (;;) {
    const result = await orFailure(() => bounded(input.budget, PLATFORM_STEP_MS).tellCancellation(which));
    if (typeof result === 'string') return result;
    const decision = await parking.wait(
      `The platform was not told of the cancellation of ${input.order}: ${result.detail}. Waits for **retry** (tells it again) or **abandon** (the order goes on); gives up after ${Math.round(input.parkedMs / 3_600_000)} h.`,
      { onParked: () => store.parkCancellation({ ...which, ...result }), forMs: input.parkedMs },
    );
    if (decision !== 'retry') {
      const why = decision === null ? 'nobody decided in time' : 'an operator gave up';
      await store.giveUpCancellation({ ...which, why: `${result.detail}; ${why}` });
      return 'failed';
    }
    await store.resumeCancellation(which);
  }
}
