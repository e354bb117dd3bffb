import { CancellationScope, isCancellation, setCurrentDetails } from '@temporalio/workflow';
import type { PushAttempt } from '../activities/order-push';
import { type FailureWords, orFailure } from './failures';
import { installParking } from './parking';
import { bounded, calling, local, type RetryBudget, remote, store, surely } from './proxies';

export interface OrderPushInput extends PushAttempt {
  readonly budget: RetryBudget;
  /** How long it waits for an operator before it abandons itself. Milliseconds. */
  readonly parkedMs: number;
}

export type OrderPushEnd = 'pushed' | 'refused' | 'superseded' | 'abandoned';

/**
 * Hands one package to the supplier: one attempt. Contract: orders.md, Push.
 *
 * Id `order-push/{package}/{attempt}`. One transaction does it all or nothing; it is tried inside the workflow task first,
 * then with growing waits. A refusal (a blocker) ends the attempt. Where somebody else runs the warehouse, its operator then
 * takes the outbound order, or refuses it, and a second transaction undoes the first. When the tries are used up it parks:
 * updates `retry` and `abandon` decide (as signals too, for the Temporal UI); after `parkedMs` it abandons itself. A
 * cancellation abandons. What is abandoned is cancelled at the operator's before it is undone; what the operator keeps is pushed.
 * It never continues as new: an attempt has a handful of events.
 */
export async function orderPush(input: OrderPushInput): Promise<OrderPushEnd> {
  const parking = installParking();
  const attempt: PushAttempt = { package: input.package, attempt: input.attempt, supplier: input.supplier };
  try {
    for (;;) {
      const result = await tryPush(attempt, input.budget);
      if (typeof result === 'string') return result;

      const decision = await parking.wait(
        `Push of ${input.package} failed: ${result.detail}. Waits for **retry** (tries again) or **abandon** (gives up); abandons itself after ${Math.round(input.parkedMs / 3_600_000)} h.`,
        { onParked: () => store.parkOrderPush({ ...attempt, ...result }), forMs: input.parkedMs },
      );
      if (decision !== 'retry')
        return await abandon(attempt, decision === null ? 'nobody decided in time' : 'an operator abandoned it');
      await store.resumeOrderPush(attempt);
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return await CancellationScope.nonCancellable(() => abandon(attempt, 'the workflow was cancelled'));
  }
}

/** @returns how the attempt ended, or the failure that used its tries up */
async function tryPush(attempt: PushAttempt, budget: RetryBudget): Promise<OrderPushEnd | FailureWords> {
  const done = await tryTransaction(attempt, budget);
  if (done !== 'outbound') return done;
  const answer = await orFailure(() => calling(budget).createOutbound(attempt));
  if ('code' in answer) return answer;
  if ('over' in answer) return answer.over;
  if ('withdraw' in answer) return withdraw(attempt);
  const settled = await surely((on) => on.settleOutbound({ ...attempt, answer }));
  return settled === 'withdraw' ? withdraw(attempt) : settled;
}

async function tryTransaction(
  attempt: PushAttempt,
  budget: RetryBudget,
): Promise<'pushed' | 'refused' | 'superseded' | 'outbound' | FailureWords> {
  try {
    return await local.pushOrder(attempt);
  } catch (error) {
    // A local activity's failure comes as it is, not wrapped in an `ActivityFailure`.
    if (isCancellation(error)) throw error;
  }
  return orFailure(() => bounded(budget).pushOrder(attempt));
}

async function abandon(attempt: PushAttempt, why: string): Promise<OrderPushEnd> {
  const { pushed, withdraw: isOutside } = await store.abandonOrderPush({ ...attempt, why });
  if (isOutside) return withdraw(attempt);
  return pushed ? 'pushed' : 'abandoned';
}

/** The operator is asked until it answers; its answer decides, nothing is assumed. */
async function withdraw(attempt: PushAttempt): Promise<OrderPushEnd> {
  setCurrentDetails(`Push of ${attempt.package} is taken back: the warehouse is asked to cancel its outbound order.`);
  const answer = await remote.withdrawOutbound(attempt);
  return surely((on) => on.settleWithdrawal({ ...attempt, answer }));
}
