/**
 * A distributor's read-only view of a supplier's warehouse. Its onHand follows the source, so its changes have no guard:
 * available = max(0, onHand − allocated). Contract: catalogue.md, Stock.
 */
import type { ClientSession } from 'mongoose';
import { available, type StockLevels } from '../../domain/stock';
import type { Database } from '../database';
import type { StockDoc, StockJournalDoc } from '../models/documents';
import { stockId } from './stock';

export interface MirroredChange {
  readonly account: string;
  readonly warehouse: string;
  readonly sku: string;
  readonly kind: StockJournalDoc['kind'];
  readonly reason: string;
  readonly document: string;
  /** Unique: a repeat its caller does not answer breaks on the journal's index. */
  readonly key: string;
  /** Where given, the source's quantity that onHand becomes. */
  readonly onHand?: number;
  /** Added to onHand and allocated, neither of which falls below 0. */
  readonly by?: { readonly onHand?: number; readonly allocated?: number };
}

/** What one change of mirrored stock came to. */
export interface MirroredResult {
  readonly before: StockLevels;
  readonly after: StockLevels;
  readonly changed: boolean;
}

const NOTHING: StockLevels = { onHand: 0, allocated: 0, reserved: 0, inTransit: 0 };

/**
 * Changes mirrored stock, each (warehouse, SKU) at most once a call, with a journal entry for each that changes.
 * Read and written in one snapshot transaction: a change in between makes it conflict and run again.
 * @returns one result per input, in order
 */
export async function changeMirrored(
  { models, now }: Database,
  session: ClientSession,
  inputs: readonly MirroredChange[],
): Promise<MirroredResult[]> {
  const rows: StockDoc[] = await models.stock
    .find({ _id: { $in: inputs.map(({ warehouse, sku }) => stockId(warehouse, sku)) } })
    .session(session)
    .lean();
  const known = new Map(rows.map((row) => [row._id, row]));
  const results = inputs.map((input): MirroredResult => {
    const row = known.get(stockId(input.warehouse, input.sku));
    const { onHand, allocated, reserved, inTransit } = row ?? NOTHING;
    const before = { onHand, allocated, reserved, inTransit };
    const after = {
      ...before,
      onHand: Math.max(0, (input.onHand ?? onHand) + (input.by?.onHand ?? 0)),
      allocated: Math.max(0, allocated + (input.by?.allocated ?? 0)),
    };
    return { before, after, changed: !row || after.onHand !== onHand || after.allocated !== allocated };
  });
  const changes = inputs.flatMap((input, index) => {
    const result = results[index];
    return result?.changed ? [{ input, ...result }] : [];
  });
  if (changes.length === 0) return results;
  await models.stock.collection.bulkWrite(
    changes.map(({ input: { account, warehouse, sku }, after }) => ({
      updateOne: {
        filter: { _id: stockId(warehouse, sku) },
        update: {
          $set: { account, warehouse, sku, mirrored: true, ...after, available: available(after) },
          $setOnInsert: { followers: 0 },
        },
        upsert: true,
      },
    })) as never,
    { session, ordered: true },
  );
  const at = now();
  await models.stockJournal.collection.insertMany(
    changes.map(({ input: { key, account, warehouse, sku, kind, reason, document }, before, after }) => ({
      _id: key,
      ...{ account, warehouse, sku, kind, reason, document, before, after, at },
    })) as never,
    { session },
  );
  return results;
}
