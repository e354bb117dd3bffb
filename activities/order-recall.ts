/** The steps of a recall. Each may run twice: the package's own recall answers a repeat. */

import type { OutboundAnswer, RecallAfter } from '../store/repositories/recalls';
import type { RecallReply } from '../workflows/messages';
import type { ActivityDeps } from './deps';

export type { OutboundAnswer };

export interface RecallAttempt {
  readonly package: string;
  readonly attempt: number;
}

/** What the workflow does next. */
export type RecallDirection =
  | { readonly next: 'end'; readonly outcome: 'recalled' | 'failed' }
  | { readonly next: 'answer'; readonly waitMs: number }
  | { readonly next: 'warehouse'; readonly supplyOrder: string; readonly warehouse: string }
  | { readonly next: 'push' };

export function createOrderRecallActivities({ store, processes, outbound }: ActivityDeps) {
  /** After the commit; what is lost here the sweep finds, or ends by itself. */
  function follow({ lanes, pushToEnd }: RecallAfter): void {
    processes.wakeLanes(lanes);
    if (pushToEnd !== null) processes.endPush(pushToEnd);
  }

  /** It ended: a cancellation may wait for that. Best effort: it looks by itself, later. */
  async function tellCancellation(pkg: string): Promise<void> {
    const workflowId = await store.orders.cancellations.waitingFor(pkg);
    if (workflowId !== null) processes.settleCancellation(workflowId);
  }

  return {
    async advanceRecall(
      input: RecallAttempt & { answerMs: number; outbound: OutboundAnswer | null },
    ): Promise<RecallDirection> {
      const { lanes, pushToEnd, ...direction } = await store.orders.advanceRecall(input.package, input.attempt, {
        answerMs: input.answerMs,
        ...(input.outbound === null ? {} : { outbound: input.outbound }),
      });
      follow({ lanes, pushToEnd });
      if (direction.next === 'end') await tellCancellation(input.package);
      return direction;
    },

    async answerRecall(
      input: RecallAttempt & { answer: 'confirm' | 'refuse' | 'none'; command: string | null; reason: string | null },
    ): Promise<RecallReply> {
      const { command, reason } = input;
      const result = await store.orders.answerRecall(input.package, input.attempt, input.answer, { command, reason });
      if (!result.ok) return { ...result, members: {}, errors: [] };
      follow(result);
      await tellCancellation(input.package);
      return { ok: true, outcome: result.outcome };
    },

    /** Asks the 3PL to cancel its outbound order. An answer that was lost is asked for by the next try. */
    async cancelOutbound(input: { supplyOrder: string; warehouse: string }): Promise<OutboundAnswer> {
      return outbound.cancel({ supplyOrder: input.supplyOrder, warehouse: input.warehouse });
    },
  };
}
