import { CancellationScope, isCancellation } from '@temporalio/workflow';
import { orFailure } from './failures';
import { installParking } from './parking';
import { type RetryBudget, sending, store } from './proxies';

export interface NotificationDeliveryInput {
  readonly delivery: string;
  readonly budget: RetryBudget;
  /** One try, from reading what to send to having written down that it was sent. Milliseconds. */
  readonly tryMs: number;
  /** How long it waits for an operator before it abandons itself. Milliseconds. */
  readonly parkedMs: number;
}

export type NotificationDeliveryEnd = 'sent' | 'failed';

/**
 * Sends one notification by one channel. Contract: partnership.md, Notifications.
 *
 * Id `notification-delivery/{delivery}`. It is tried with growing waits, for days; a receiver may ask for longer ones. When
 * the tries are used up, or the receiver refuses for good, it parks: updates `retry` and `abandon` decide (as signals too,
 * for the Temporal UI); after `parkedMs` it abandons itself. A cancellation abandons. It carries the delivery's id alone:
 * what is sent, and where to, is read when it is sent. It never continues as new.
 */
export async function notificationDelivery(input: NotificationDeliveryInput): Promise<NotificationDeliveryEnd> {
  const parking = installParking();
  const { delivery, budget, tryMs, parkedMs } = input;
  try {
    for (;;) {
      const result = await orFailure(() => sending(budget, tryMs).sendDelivery({ delivery, budget }));
      if (typeof result === 'string') return result;

      let isOver = false;
      const decision = await parking.wait(
        `Notification ${delivery} was not delivered: ${result.detail}. Waits for **retry** (tries again) or **abandon** (gives up); abandons itself after ${Math.round(parkedMs / 3_600_000)} h.`,
        {
          onParked: async () => {
            isOver = !(await store.parkDelivery({ delivery, ...result })).parked;
          },
          forMs: parkedMs,
          orUntil: () => isOver,
        },
      );
      // A try whose end was not heard of has sent it after all.
      if (isOver) return 'sent';
      if (decision !== 'retry')
        return await abandon(delivery, decision === null ? 'nobody decided in time' : 'an operator abandoned it');
      await store.resumeDelivery({ delivery });
    }
  } catch (error) {
    if (!isCancellation(error)) throw error;
    return await CancellationScope.nonCancellable(() => abandon(delivery, 'the workflow was cancelled'));
  }
}

async function abandon(delivery: string, why: string): Promise<NotificationDeliveryEnd> {
  await store.abandonDelivery({ delivery, why });
  return 'failed';
}
