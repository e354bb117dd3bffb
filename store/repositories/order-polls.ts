/** What polling finds, and how far each store was polled. Contract: orders.md, Orders in. */
import type { ClientSession } from 'mongoose';
import type { Database } from '../database';
import type { InboxDoc, OrderPollDoc, StoreDoc } from '../models/documents';
import { createInboxRepository } from './inbox';

/** An order that changed, as the platform's list tells of it. */
export interface PolledOrder {
  readonly platformOrder: string;
  /** Epoch ms. */
  readonly updatedAt: number;
  readonly dedupeKey: string;
}

const NEVER = new Date(0);

export function createOrderPollRepository(db: Database) {
  const { models, now } = db;
  const inbox = createInboxRepository(db);

  /** An event that was dealt with, although the order is still older than what it told of: it is dealt with again. */
  async function reopen(id: string): Promise<boolean> {
    const again: Partial<InboxDoc> = { status: 'stored', receivedAt: now(), expiresAt: null };
    const { modifiedCount } = await models.inbox.updateOne(
      { _id: id, status: { $in: ['done', 'refused', 'ignored'] } },
      { $set: again },
    );
    return modifiedCount > 0;
  }

  return {
    /** In the transaction that connects a store: it is polled from now on, or from where an earlier connection stopped. */
    async open(session: ClientSession, row: Pick<StoreDoc, '_id' | 'account' | 'platform'>): Promise<void> {
      const { _id, account, platform } = row;
      await models.orderPolls.updateOne(
        { _id },
        {
          $set: { active: true, lookedAt: NEVER, failure: null },
          $setOnInsert: { account, platform, until: now(), everyMs: null },
        },
        { session, upsert: true },
      );
    },

    /** In the transaction that ends a store's connection. */
    async close(session: ClientSession, store: string): Promise<void> {
      await models.orderPolls.updateOne({ _id: store }, { $set: { active: false, everyMs: null } }, { session });
    },

    async of(store: string): Promise<OrderPollDoc | null> {
      return models.orderPolls.findById(store).lean();
    },

    async ofMany(stores: readonly string[]): Promise<OrderPollDoc[]> {
      return models.orderPolls.find({ _id: { $in: [...stores] } }).lean();
    },

    /** A poll begins. */
    async begun(store: string): Promise<void> {
      await models.orderPolls.updateOne({ _id: store }, { $set: { lookedAt: now() } });
    },

    /** The schedule there is. */
    async scheduled(store: string, everyMs: number): Promise<void> {
      await models.orderPolls.updateOne({ _id: store }, { $set: { everyMs } });
    },

    /** Everything until then is in the inbox. Two polls at once: the later one counts. */
    async reached(store: string, until: Date): Promise<void> {
      await models.orderPolls.updateOne({ _id: store }, { $max: { until }, $set: { failure: null } });
    },

    async failed(store: string, failure: { code: string; detail: string }): Promise<void> {
      await models.orderPolls.updateOne({ _id: store }, { $set: { failure: { ...failure, at: now() } } });
    },

    /**
     * Puts what a list of changes told of into the inbox, unless it is known to be older than what the hub has.
     * @returns the orders to take in
     */
    async take(row: StoreDoc, changes: readonly PolledOrder[]): Promise<string[]> {
      if (changes.length === 0) return [];
      const there = await models.orders
        .find(
          {
            account: row.account,
            store: row._id,
            platformOrder: { $in: changes.map(({ platformOrder }) => platformOrder) },
          },
          { platformOrder: 1, version: 1 },
        )
        .lean();
      const versions = new Map(there.map(({ platformOrder, version }) => [platformOrder, version]));
      const fresh: string[] = [];
      for (const { platformOrder, updatedAt, dedupeKey } of changes) {
        const version = versions.get(platformOrder) ?? Number.NEGATIVE_INFINITY;
        // Of the same time it may be another state: the platforms count in seconds.
        if (version > updatedAt) continue;
        const isNew = await inbox.put({
          platform: row.platform,
          shopId: row.shopId,
          platformOrder,
          dedupeKey,
          body: '{}',
          store: { id: row._id, account: row.account },
        });
        if (isNew || (version < updatedAt && (await reopen(`${row.platform}:${dedupeKey}`)))) fresh.push(platformOrder);
      }
      return fresh;
    },

    /** Connected stores that no poll looked at since the given time. */
    async unpolledSince(before: Date, limit: number): Promise<string[]> {
      const rows = await models.orderPolls
        .find({ active: true, lookedAt: { $lt: before } }, { _id: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => _id);
    },

    /** Platforms that stores are connected to. */
    async platforms(): Promise<string[]> {
      return models.orderPolls.distinct('platform', { active: true });
    },
  };
}
