/**
 * Pre-order: the state of each (rule, SKU, store), by which quantities are decided, and what the platform was told of each
 * listing. Written before the platform is called, so that a lane that dies in between knows what it may have done.
 * Contract: stock-push.md, The quantity, step 4.
 */
import type { Database } from '../database';
import type { ListingDoc, PreOrderDoc } from '../models/documents';
import { writeTogether } from '../together';

export const preOrderId = (rule: string, store: string, sku: string) => `${rule}|${store}|${sku}`;

export interface PreOrderState {
  readonly account: string;
  readonly store: string;
  readonly sku: string;
  readonly rule: string;
  readonly on: boolean;
}

export function createPreOrderRepository(db: Database) {
  const { models, now } = db;
  return {
    /** Ids of what is in pre-order, of these SKUs in these stores. */
    async states(stores: readonly string[], skus: readonly string[]): Promise<Set<string>> {
      if (skus.length === 0 || stores.length === 0) return new Set();
      const rows = await models.preOrders
        .find({ store: { $in: [...stores] }, sku: { $in: [...skus] } }, { _id: 1 })
        .lean();
      return new Set(rows.map(({ _id }) => _id));
    },

    /** Notes new states. */
    async keep(states: readonly PreOrderState[]): Promise<void> {
      const since = now();
      const writes = states.map(({ on, account, rule, store, sku }) => {
        const filter = { _id: preOrderId(rule, store, sku) };
        const $setOnInsert: Omit<PreOrderDoc, '_id'> = { account, rule, store, sku, since };
        return on ? { updateOne: { filter, update: { $setOnInsert }, upsert: true } } : { deleteOne: { filter } };
      });
      await writeTogether(db, models.preOrders.collection, writes);
    },

    /** Under no rule any more: nothing supplies these SKUs. */
    async clear(store: string, skus: readonly string[]): Promise<void> {
      const rows = await models.preOrders.find({ store, sku: { $in: [...skus] } }, { _id: 1 }).lean();
      const writes = rows.map(({ _id }) => ({ deleteOne: { filter: { _id } } }));
      await writeTogether(db, models.preOrders.collection, writes);
    },

    /** Notes what a listing is, or is about to be. */
    async mark(listings: readonly string[], preOrder: ListingDoc['preOrder']): Promise<void> {
      const writes = listings.map((_id) => ({ updateOne: { filter: { _id }, update: { $set: { preOrder } } } }));
      await writeTogether(db, models.listings.collection, writes);
    },

    /** The listings of these items that are in pre-order. A platform switches an item with all its models. */
    async listingsOf(store: string, items: readonly string[]): Promise<ListingDoc[]> {
      if (items.length === 0) return [];
      return models.listings
        .find({
          // "0" comes right after "/".
          $or: items.map((item) => ({ _id: { $gt: `${store}/${item}/`, $lt: `${store}/${item}0` } })),
          preOrder: { $ne: null },
        })
        .lean();
    },
  };
}
