/** The steps of a cancellation. Each may run twice: the order's own cancellation answers a repeat. */
import type { CancellationEnd } from '../domain/cancellations';
import { type FailureCode, isHubError } from '../domain/failures';
import type { CancellationStep } from '../store/repositories/cancellations';
import type { RecallToRun } from '../store/repositories/recalls';
import type { FailureWords } from '../workflows/failures';
import type { ActivityDeps } from './deps';

export interface CancellationAttempt {
  readonly order: string;
  readonly attempt: number;
}

/** What the workflow does next. */
export type CancellationDirection =
  | { readonly next: 'end'; readonly outcome: CancellationEnd }
  | { readonly next: 'wait' | 'tell' };

export function createOrderCancelActivities({ store, access, processes, logger }: ActivityDeps) {
  const { cancellations } = store.orders;

  /** After the commit; what is lost here the sweep finds. */
  async function follow({ lanes, recalls }: { lanes: readonly string[]; recalls: readonly RecallToRun[] }) {
    processes.wakeLanes(lanes);
    for (const recall of recalls) await processes.startOrderRecall(recall);
  }

  return {
    /** Begins what must be recalled, and looks what became of it. */
    async advanceCancellation(input: CancellationAttempt): Promise<CancellationDirection> {
      const step: CancellationStep = await cancellations.advance(input.order, input.attempt);
      await follow(step);
      return step.next === 'end' ? { next: 'end', outcome: step.outcome } : { next: step.next };
    },

    /** Tells the platform. The connector looks first what it knows, so that a lost answer is asked for. */
    async tellCancellation(input: CancellationAttempt): Promise<CancellationEnd> {
      const telling = await cancellations.toTell(input.order, input.attempt);
      if (telling === null) {
        const step = await cancellations.advance(input.order, input.attempt);
        return step.next === 'end' ? step.outcome : 'failed';
      }
      const { platformOrder, answer, reason, lines, version } = telling;
      try {
        if (lines !== null) {
          const cancelled = await access.call(
            telling.store,
            async (connector, shop) => (await connector.cancelLines?.(shop, { platformOrder, lineIds: lines })) ?? [],
          );
          const settled = await cancellations.settleLines(input, cancelled);
          if (settled !== null) await follow(settled);
          return settled?.outcome ?? 'failed';
        }
        const told = await access.call(telling.store, async (connector, shop) => {
          if (answer === 'cancel') return connector.cancelOrder(shop, { platformOrder, reason });
          const accept = answer === 'accept';
          const answered = await connector.answerCancellation(shop, { platformOrder, accept });
          // The wish was taken back; the seller cancels nevertheless.
          return accept && answered === 'gone_on' && telling.by === 'seller'
            ? connector.cancelOrder(shop, { platformOrder, reason })
            : answered;
        });
        const settled = await cancellations.settle(input, told, version);
        if (settled !== null) await follow(settled);
        return settled?.outcome ?? 'failed';
      } catch (error) {
        if (!isHubError(error) || error.code !== 'store_disconnected') throw error;
        logger.warn('cancellation not told: the store is disconnected', { store: telling.store });
        processes.wakeLanes(
          (await cancellations.giveUp(input, 'The store is disconnected: its platform was not told')) ?? [],
        );
        return 'failed';
      }
    },

    async parkCancellation({ order, attempt, code, detail }: CancellationAttempt & FailureWords): Promise<void> {
      await cancellations.park({ order, attempt }, { code: code as FailureCode, detail });
    },
    async resumeCancellation(input: CancellationAttempt): Promise<void> {
      await cancellations.resume(input);
    },
    async giveUpCancellation({ why, ...which }: CancellationAttempt & { why: string }): Promise<void> {
      processes.wakeLanes((await cancellations.giveUp(which, why)) ?? []);
    },
  };
}
