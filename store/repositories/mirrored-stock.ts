/**
 * A distributor's read-only view of a supplier's warehouse. Its onHand follows the source, so its changes have no guard:
 * available = max(0, onHand − allocated). Contract: catalogue.md, Stock.
 */
import type { ClientSession } from 'mongoose';
import type { StockLevels } from '../../domain/stock';
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

/** @returns the levels after the change, or null where nothing changed */
export async function changeMirrored(
  { models, now }: Database,
  session: ClientSession,
  input: MirroredChange,
): Promise<(StockLevels & { available: number }) | null> {
  const _id = stockId(input.warehouse, input.sku);
  const row: StockDoc | null = await models.stock.findOne({ _id, account: input.account }).session(session).lean();
  const before: StockLevels = row
    ? { onHand: row.onHand, allocated: row.allocated, reserved: row.reserved, inTransit: row.inTransit }
    : { onHand: 0, allocated: 0, reserved: 0, inTransit: 0 };
  const after: StockLevels = {
    ...before,
    onHand: Math.max(0, (input.onHand ?? before.onHand) + (input.by?.onHand ?? 0)),
    allocated: Math.max(0, before.allocated + (input.by?.allocated ?? 0)),
  };
  if (row && after.onHand === before.onHand && after.allocated === before.allocated) return null;
  const levels = { ...after, available: Math.max(0, after.onHand - after.allocated) };
  // Read and written in one snapshot transaction: a change in between makes it conflict and run again.
  await models.stock.collection.updateOne(
    { _id } as never,
    {
      $set: { account: input.account, warehouse: input.warehouse, sku: input.sku, mirrored: true, ...levels },
      $setOnInsert: { followers: 0 },
    },
    { upsert: true, session },
  );
  await models.stockJournal.collection.insertOne(
    {
      _id: input.key,
      account: input.account,
      warehouse: input.warehouse,
      sku: input.sku,
      kind: input.kind,
      reason: input.reason,
      document: input.document,
      before,
      after,
      at: now(),
    } as never,
    { session },
  );
  return levels;
}
