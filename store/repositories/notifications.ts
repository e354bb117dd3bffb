/** In-app notifications: one per event, exactly once, by an id made from the event. */
import type { ClientSession } from 'mongoose';
import { NOTIFICATION_EVENTS, type NotificationEvent } from '../../domain/notifications';
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

export interface Notice {
  readonly account: string;
  readonly event: NotificationEvent;
  /** What happened to which document, once: with event and account it makes the id. */
  readonly occurrence: string;
  readonly document: string;
  readonly detail?: string;
}

export type NotificationRepository = ReturnType<typeof createNotificationRepository>;

export function createNotificationRepository({ models, now }: Database) {
  return {
    async notify(session: ClientSession | null, notice: Notice): Promise<void> {
      await models.notifications.collection.updateOne(
        { _id: `${notice.account}/${notice.event}/${notice.occurrence}` } as never,
        {
          $setOnInsert: {
            account: notice.account,
            event: notice.event,
            title: NOTIFICATION_EVENTS[notice.event],
            document: notice.document,
            detail: notice.detail ?? null,
            readAt: null,
            at: now(),
          },
        },
        { upsert: true, ...(session ? { session } : {}) },
      );
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
