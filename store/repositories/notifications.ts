/**
 * Notifications: in-app one per event, exactly once, by an id made from the event; and the outbox of what goes out by
 * mail and HTTPS call, written in the same transaction. Contract: partnership.md, Notifications.
 */
import type { ClientSession } from 'mongoose';
import {
  NOTIFICATION_EVENTS,
  type NotificationChannel,
  type NotificationEvent,
  TEST_EVENT,
  TEST_TITLE,
} from '../../domain/notifications';
import { deliveryProcessId } from '../../domain/process-ids';
import {
  type Database,
  found,
  newestFirst,
  olderThan,
  type Page,
  type PageRequest,
  timeCursor,
  toPage,
} from '../database';
import type { NotificationDoc } from '../models/documents';
import { type DueDelivery, deliveryIdOf } from './deliveries';
import { createOperationRepository } from './operations';

export interface Notice {
  readonly account: string;
  readonly event: NotificationEvent;
  /** What happened to which document, once: with event and account it makes the id. */
  readonly occurrence: string;
  readonly document: string;
  readonly detail?: string;
}

type NewRow = Omit<NotificationDoc, 'readAt' | 'at'>;
type DueListener = (due: readonly DueDelivery[]) => void;

/** Other repositories have one of these of their own: who listens is known per database. */
const listeners = new WeakMap<Database, DueListener>();

export function createNotificationRepository(db: Database) {
  const { models, now } = db;
  const operations = createOperationRepository(db);

  /** @returns whether it was not there before */
  async function insert(session: ClientSession, { _id, ...row }: NewRow): Promise<boolean> {
    const { upsertedCount } = await models.notifications.collection.updateOne(
      { _id } as never,
      { $setOnInsert: { ...row, readAt: null, at: now() } },
      { upsert: true, session },
    );
    return upsertedCount === 1;
  }

  /** Writes what has to go out. */
  async function enqueue(
    session: ClientSession,
    row: Pick<NotificationDoc, '_id' | 'account'>,
    channels: readonly NotificationChannel[],
  ): Promise<DueDelivery[]> {
    if (channels.length === 0) return [];
    const at = now();
    const deliveries = channels.map((channel) => ({
      _id: deliveryIdOf(row._id, channel),
      account: row.account,
      notification: row._id,
      channel,
      status: 'pending' as const,
      error: null,
      createdAt: at,
      updatedAt: at,
    }));
    await models.deliveries.collection.insertMany(deliveries as never, { session });
    return deliveries.map(({ _id, account }) => ({ delivery: _id, account }));
  }

  async function notify(session: ClientSession | null, notice: Notice): Promise<void> {
    if (session === null) return db.transact((own) => notify(own, notice));
    const { account, event, document } = notice;
    const _id = `${account}/${event}/${notice.occurrence}`;
    const title = NOTIFICATION_EVENTS[event];
    if (!(await insert(session, { _id, account, event, title, document, detail: notice.detail ?? null }))) return;
    const subscription = await models.notificationSubscriptions.findById(account, { events: 1 }, { session }).lean();
    const due = await enqueue(session, { _id, account }, subscription?.events[event] ?? []);
    if (due.length > 0) db.afterCommit(session, () => listeners.get(db)?.(due));
  }

  return {
    /** Tells an account of an event; the second time changes nothing. Belongs into the transaction of what happened. */
    notify,

    /** Writes a test for one channel, which the account must have set up. The caller starts its delivery. */
    async test(account: string, channel: NotificationChannel, command: string): Promise<DueDelivery> {
      const _id = `${account}/${TEST_EVENT}/${command}`;
      const delivery = deliveryIdOf(_id, channel);
      await db.transact(async (session) => {
        const row = { _id, account, event: TEST_EVENT, title: TEST_TITLE, document: account, detail: null };
        if (!(await insert(session, row))) return;
        const workflowId = deliveryProcessId(delivery);
        await operations.begin(session, {
          workflowId,
          kind: 'notification_delivery',
          accounts: [account],
          document: delivery,
        });
        await enqueue(session, row, [channel]);
      });
      return { delivery, account };
    },

    /** Who starts the processes that deliver: told of each delivery that this process has written. One listener. */
    onDue(listener: DueListener): void {
      listeners.set(db, listener);
    },

    async list(account: string, page: PageRequest): Promise<Page<NotificationDoc>> {
      const rows = await models.notifications
        .find({
          account,
          ...olderThan('at', page.after),
        })
        .sort(newestFirst('at'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.at, row._id));
    },

    async markRead(account: string, id: string): Promise<NotificationDoc> {
      return found(
        await models.notifications
          .findOneAndUpdate({ _id: id, account }, { $set: { readAt: now() } }, { returnDocument: 'after' })
          .lean(),
        'notification',
      );
    },
  };
}
