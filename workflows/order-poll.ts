import type { OrderPollResult } from '../activities/order-poll';
import { POLL_MS } from '../config/timeouts';
import { orFailure } from './failures';
import { bounded, type RetryBudget, store } from './proxies';

export interface OrderPollInput {
  readonly store: string;
  readonly budget: RetryBudget;
}

/**
 * One poll of one store for orders that changed. Contract: orders.md, Orders in.
 *
 * Id `order-poll/{store}` and the time of its Schedule, which never runs two at once. Tried with growing waits, or as the
 * platform asks; when the tries are used up it ends as `failed`, and the next one goes on where the last good one ended.
 */
export async function orderPoll(input: OrderPollInput): Promise<OrderPollResult['outcome'] | 'failed'> {
  const which = { store: input.store };
  const result = await orFailure(() => bounded(input.budget, POLL_MS).pollOrders(which));
  if ('outcome' in result) return result.outcome;
  await store.failOrderPoll({ ...which, ...result });
  return 'failed';
}
