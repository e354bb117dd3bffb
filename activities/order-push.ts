/** The steps of an order push. Each may run twice: the package's own state answers a repeat. */
import type { OutboundCreation, OutboundEnd } from '../store/repositories/outbound-pushes';
import type { OutboundAnswer } from '../store/repositories/recalls';
import type { FailureWords } from '../workflows/failures';
import type { ActivityDeps } from './deps';

export interface PushAttempt {
  readonly package: string;
  readonly attempt: number;
  /** Whose pushes take turns in a worker. */
  readonly supplier: string;
}

/** What the operator of the warehouse said, or what is to be done instead of asking. */
export type OutboundResult = OutboundCreation | { readonly withdraw: true } | { readonly over: OutboundEnd['outcome'] };

export function createOrderPushActivities({ store, processes, outbound }: ActivityDeps) {
  /** After the commit; what is lost here the sweep finds, or looks by itself. */
  function follow({ outcome, lanes, recallToEnd }: OutboundEnd): OutboundEnd['outcome'] {
    processes.wakeLanes(lanes);
    if (recallToEnd !== null) processes.settleRecall(recallToEnd);
    return outcome;
  }

  return {
    /** Runs the transaction; wakes the lanes of what changed after the commit (the marks are in it, a sweep covers the rest). */
    async pushOrder(input: PushAttempt): Promise<'pushed' | 'refused' | 'superseded' | 'outbound'> {
      const { outcome, lanes } = await store.orders.push(input.package, input.attempt, input.supplier);
      processes.wakeLanes(lanes);
      return outcome;
    },
    /** @returns false where the attempt is over already, or is to be withdrawn */
    async parkOrderPush(input: PushAttempt & FailureWords): Promise<boolean> {
      return store.orders.park(input.package, input.attempt, { code: input.code, detail: input.detail });
    },
    async resumeOrderPush(input: PushAttempt): Promise<void> {
      await store.orders.resume(input.package, input.attempt);
    },
    async abandonOrderPush(input: PushAttempt & { why: string }): Promise<{ pushed: boolean; withdraw?: boolean }> {
      const { lanes, ...end } = await store.orders.abandon(input.package, input.attempt, input.why);
      processes.wakeLanes(lanes);
      return end;
    },

    /** Has the operator of the warehouse send it out. Whether an earlier try did so is asked for before it is tried again. */
    async createOutbound(input: PushAttempt): Promise<OutboundResult> {
      const turn = await store.orders.outbound.begin(input.package, input.attempt);
      if (turn.next === 'end') return { over: turn.outcome };
      if (turn.next === 'withdraw') return { withdraw: true };
      const { order, askedBefore } = turn;
      const known = askedBefore ? await outbound.get(order) : null;
      if (known?.cancelled) return { created: false, detail: 'The outbound order was cancelled in the warehouse' };
      return known ? { created: true, reference: known.reference } : outbound.create(order);
    },
    async settleOutbound(
      input: PushAttempt & { answer: OutboundCreation },
    ): Promise<OutboundEnd['outcome'] | 'withdraw'> {
      const settled = await store.orders.outbound.settle(input.package, input.attempt, input.answer);
      return settled.next === 'withdraw' ? 'withdraw' : follow(settled);
    },
    /** Has what there is in the warehouse cancelled; where nothing was asked for, nobody is asked. */
    async withdrawOutbound(input: PushAttempt): Promise<OutboundAnswer> {
      const there = await store.orders.outbound.there(input.package, input.attempt);
      if (there === null) return { cancelled: true };
      const known = await outbound.get(there);
      return known === null || known.cancelled ? { cancelled: true } : outbound.cancel(there);
    },
    async settleWithdrawal(input: PushAttempt & { answer: OutboundAnswer }): Promise<OutboundEnd['outcome']> {
      return follow(await store.orders.outbound.settleWithdrawal(input.package, input.attempt, input.answer));
    },
  };
}
