/** The log of a distribution product: every claim, stop, enable and disable. Nothing removes from it. Contract: catalogue.md. */
import type { ClientSession } from 'mongoose';
import { type Database, newestFirst, olderThan, type Page, type PageRequest, timeCursor, toPage } from '../database';
import type { ProductLogDoc } from '../models/documents';

export interface ProductLogEntry extends Omit<ProductLogDoc, '_id' | 'at' | 'distributor'> {
  readonly distributor?: string | null;
  /** Unique: a repeat writes nothing. */
  readonly key: string;
}

export function createProductLog({ models, now }: Database) {
  return {
    /** Writes one entry, in the transaction of what it tells. */
    async write(session: ClientSession, { key, distributor = null, ...row }: ProductLogEntry): Promise<void> {
      await models.productLog.collection.updateOne(
        { _id: key } as never,
        { $setOnInsert: { ...row, distributor, at: now() } },
        { upsert: true, session },
      );
    },

    /** Newest first. */
    async list(supplier: string, sku: string, page: PageRequest): Promise<Page<ProductLogDoc>> {
      const rows = await models.productLog
        .find({ supplier, sku, ...olderThan('at', page.after) })
        .sort(newestFirst('at'))
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => timeCursor(row.at, row._id));
    },
  };
}
