/** Sending notifications out. Addresses and secrets pass through here and never through a workflow. */
import { isDeliveryError } from '../connectors/notifications/port';
import { HubError } from '../domain/failures';
import type { OutsideMessage } from '../domain/notifications';
import type { DeliveryTarget } from '../store/repositories/subscriptions';
import type { FailureWords } from '../workflows/failures';
import type { RetryBudget } from '../workflows/proxies';
import type { ActivityDeps } from './deps';

interface DeliveryInput {
  readonly delivery: string;
}

const CODES = {
  unavailable: 'delivery_failed',
  refused: 'delivery_refused',
  not_configured: 'channel_not_configured',
} as const;

export function createNotificationActivities({ store, notifiers, logger, attempt }: ActivityDeps) {
  async function send(target: DeliveryTarget, message: OutsideMessage, budget: RetryBudget): Promise<void> {
    try {
      if (target.channel === 'email') await notifiers.mail(target.address, message);
      else await notifiers.call(target, message);
    } catch (error) {
      if (!isDeliveryError(error)) throw error;
      // Not as the cause: nothing but these words goes on.
      throw new HubError(CODES[error.kind], error.message, laterThan(ownWaitMs(budget, attempt()), error.retryAfterMs));
    }
  }

  return {
    /**
     * Sends the notification as it is stored, and writes down that it was sent. A crash in between sends it again, with
     * the same id. Where the account has taken the channel away, there is nothing to do.
     */
    async sendDelivery(input: DeliveryInput & { budget: RetryBudget }): Promise<'sent' | 'failed'> {
      const { status, account, message, target } = await store.deliveries.forSending(input.delivery);
      if (status === 'sent' || status === 'failed') return status;
      if (target === null) {
        await store.deliveries.fail(input.delivery, 'failed', {
          code: 'channel_not_configured',
          detail: 'The account has taken this channel away',
        });
        return 'failed';
      }
      try {
        await send(target, message, input.budget);
      } catch (error) {
        const code = (error as { code?: unknown }).code;
        logger.warn('notification not delivered', {
          account,
          delivery: input.delivery,
          channel: target.channel,
          attempt: attempt(),
          code: typeof code === 'string' ? code : undefined,
        });
        throw error;
      }
      await store.deliveries.sent(input.delivery);
      return 'sent';
    },

    async parkDelivery(input: DeliveryInput & FailureWords): Promise<{ parked: boolean }> {
      return { parked: await store.deliveries.park(input.delivery, { code: input.code, detail: input.detail }) };
    },
    async resumeDelivery(input: DeliveryInput): Promise<void> {
      await store.deliveries.resume(input.delivery);
    },
    async abandonDelivery(input: DeliveryInput & { why: string }): Promise<void> {
      await store.deliveries.fail(input.delivery, 'abandoned', { code: 'abandoned', detail: input.why });
    },
  };
}

/** How long the retry policy waits after this try. */
function ownWaitMs({ firstWaitMs, longestWaitMs }: RetryBudget, attempt: number): number {
  return Math.min(firstWaitMs * 2 ** (attempt - 1), longestWaitMs);
}

/** A receiver may ask for more time, but not use the tries up by asking for less. */
function laterThan(ownMs: number, askedMs: number | undefined): { retryAfterMs?: number } {
  return askedMs !== undefined && askedMs > ownMs ? { retryAfterMs: askedMs } : {};
}
