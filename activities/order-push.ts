/** The steps of an order push. Each may run twice: the package's own state answers a repeat. */
import type { FailureWords } from '../workflows/failures';
import type { ActivityDeps } from './deps';

export interface PushAttempt {
  readonly package: string;
  readonly attempt: number;
  /** Whose pushes take turns in a worker. */
  readonly supplier: string;
}

export function createOrderPushActivities({ store, processes }: ActivityDeps) {
  return {
    /** Runs the transaction; wakes the lanes of what changed after the commit (the marks are in it, a sweep covers the rest). */
    async pushOrder(input: PushAttempt): Promise<'pushed' | 'refused' | 'superseded'> {
      const result = await store.orders.push(input.package, input.attempt, input.supplier);
      if (result.outcome !== 'refused') processes.wakeLanes(result.lanes);
      return result.outcome;
    },
    async parkOrderPush(input: PushAttempt & FailureWords): Promise<void> {
      await store.orders.park(input.package, input.attempt, { code: input.code, detail: input.detail });
    },
    async resumeOrderPush(input: PushAttempt): Promise<void> {
      await store.orders.resume(input.package, input.attempt);
    },
    async abandonOrderPush(input: PushAttempt & { why: string }): Promise<{ pushed: boolean }> {
      const { pushed, lanes } = await store.orders.abandon(input.package, input.attempt, input.why);
      processes.wakeLanes(lanes);
      return { pushed };
    },
  };
}
