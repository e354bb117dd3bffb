/** What goes out by mail and HTTPS call, one row per notification and channel. Contract: partnership.md, Notifications. */
import { createHash } from 'node:crypto';
import type { FailureCode } from '../../domain/failures';
import { ID_PREFIXES } from '../../domain/ids';
import { type NotificationChannel, notificationIdOf, type OutsideMessage } from '../../domain/notifications';
import { deliveryProcessId } from '../../domain/process-ids';
import { type Database, found } from '../database';
import type { DeliveryDoc, DeliveryStatus } from '../models/documents';
import { createOperationRepository } from './operations';
import { createSubscriptionRepository, type DeliveryTarget } from './subscriptions';

export interface DueDelivery {
  readonly delivery: string;
  readonly account: string;
}

export interface DeliveryFailure {
  readonly code: string;
  readonly detail: string;
}

/** The same again for the same notification and channel: so it is written once, and receivers can tell a repeat. */
export function deliveryIdOf(notification: string, channel: NotificationChannel): string {
  const digest = createHash('sha256').update(`${channel} ${notification}`).digest('hex').slice(0, 32);
  return `${ID_PREFIXES.delivery}_${digest}`;
}

const OPEN: readonly DeliveryStatus[] = ['pending', 'parked'];

export function createDeliveryRepository(db: Database) {
  const { models, now } = db;
  const operations = createOperationRepository(db);
  const subscriptions = createSubscriptionRepository(db);

  /** Moves an open delivery and its operation, where it has one. @returns false where it was over before */
  async function move(
    id: string,
    status: DeliveryStatus,
    failure: DeliveryFailure | null,
    tell: (row: DeliveryDoc, session: Parameters<typeof operations.end>[0]) => Promise<unknown>,
  ): Promise<boolean> {
    return db.transact(async (session) => {
      const row = await models.deliveries
        .findOneAndUpdate(
          { _id: id, status: { $in: [...OPEN] } },
          { $set: { status, error: failure, updatedAt: now() } },
          { session, returnDocument: 'after' },
        )
        .lean();
      if (row) await tell(row, session);
      return row !== null;
    });
  }

  return {
    /** The message as it is sent, and where to: null where the account has no such channel any more. */
    async forSending(id: string): Promise<{
      status: DeliveryStatus;
      account: string;
      message: OutsideMessage;
      target: DeliveryTarget | null;
    }> {
      const row = found(await models.deliveries.findById(id).lean(), 'delivery');
      const told = found(await models.notifications.findById(row.notification).lean(), 'notification');
      return {
        status: row.status,
        account: row.account,
        message: {
          id: row._id,
          notification: notificationIdOf(told._id),
          account: told.account,
          event: told.event,
          title: told.title,
          document: told.document,
          detail: told.detail,
          at: told.at.toISOString(),
        },
        target: await subscriptions.targetOf(row.account, row.channel),
      };
    },

    async sent(id: string): Promise<void> {
      await move(id, 'sent', null, (_row, session) => operations.end(session, deliveryProcessId(id), 'done', {}));
    },

    /** It waits for a decision: from now on listed as an operation. @returns false where it was over before */
    async park(id: string, failure: DeliveryFailure): Promise<boolean> {
      const workflowId = deliveryProcessId(id);
      return move(id, 'parked', failure, async (row, session) => {
        await operations.begin(session, {
          workflowId,
          kind: 'notification_delivery',
          accounts: [row.account],
          document: id,
        });
        await operations.end(session, workflowId, 'parked', {
          error: { code: failure.code as FailureCode, detail: failure.detail },
          progress: { done: 0, failed: 0, total: 1 },
        });
      });
    },

    /** An operator said: again. */
    async resume(id: string): Promise<void> {
      await move(id, 'pending', null, (row, session) =>
        operations.begin(session, {
          workflowId: deliveryProcessId(id),
          kind: 'notification_delivery',
          accounts: [row.account],
          document: id,
        }),
      );
    },

    /** Given up: by a decision, or because there is nowhere to send it to. @returns false where it was over before */
    async fail(id: string, status: 'failed' | 'abandoned', failure: DeliveryFailure): Promise<boolean> {
      return move(id, 'failed', failure, (_row, session) =>
        operations.end(session, deliveryProcessId(id), status, {
          error: { code: failure.code as FailureCode, detail: failure.detail },
        }),
      );
    },

    /** Open ones that were last touched before then; they should have a running workflow. */
    async openSince(before: Date, limit: number): Promise<DueDelivery[]> {
      const rows = await models.deliveries
        .find({ status: { $in: [...OPEN] }, updatedAt: { $lt: before } }, { account: 1 })
        .sort({ updatedAt: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id, account }) => ({ delivery: _id, account }));
    },
  };
}
