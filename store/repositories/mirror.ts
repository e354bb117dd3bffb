/** A partnership's mirror: the supplier's available quantity becomes the distributor's on hand, one to one per warehouse. */
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import { mirrorLaneId } from '../../domain/process-ids';
import { type Database, found } from '../database';
import type { ClaimDoc, DueDoc } from '../models/documents';
import { createDueRepository } from './dues';
import { changeMirrored, type MirroredChange } from './mirrored-stock';
import { createPushRepository, type RecordEntry } from './pushes';
import { createStockRepository, stockId } from './stock';

/** SKUs per transaction: short, so that it rarely meets a push of the same ones. */
const BATCH = 20;

export interface MirrorPass {
  readonly done: number;
  readonly more: boolean;
  /** Lanes of the distributor's stores to wake. */
  readonly lanes: readonly string[];
}

export type MirrorRepository = ReturnType<typeof createMirrorRepository>;

export function createMirrorRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const stock = createStockRepository(db);
  const pushes = createPushRepository(db);

  /** Mirrors what is due: quantities, journal and the distributor's own due marks in one transaction. */
  async function mirror(session: ClientSession, partnership: string, batch: readonly DueDoc[]) {
    const skus = batch.map(({ subject }) => subject);
    const dueOf = (claim: ClaimDoc) => batch.find(({ subject }) => subject === claim.supplierSku);
    const claims = await models.claims
      .find({ partnership, supplierSku: { $in: skus } })
      .session(session)
      .lean();
    const terms = await models.partnerships.findById(partnership).session(session).lean();
    const places = await models.warehouses
      .find({ kind: 'supplier', 'source.partnership': partnership })
      .session(session)
      .lean();
    const sources = places.flatMap(({ source }) => skus.map((sku) => stockId(source?.warehouse ?? '', sku)));
    const levels = new Map(
      (
        await models.stock
          .find({ _id: { $in: sources } })
          .session(session)
          .lean()
      ).map((row) => [row._id, row]),
    );
    const countsNow = (claim: ClaimDoc) => terms?.status === 'partnered' && !claim.stopped && claim.causes.length === 0;
    const changes: MirroredChange[] = [];
    for (const claim of claims) {
      const counts = countsNow(claim);
      for (const { _id, source } of places) {
        const given = counts && source !== null && terms?.warehouses.includes(source.warehouse);
        changes.push({
          account: claim.distributor,
          warehouse: _id,
          sku: claim.sku,
          kind: 'mirror',
          reason: dueOf(claim)?.cause ?? '',
          document: claim._id,
          key: `mirror/${_id}/${claim.sku}/${newId('command')}`,
          onHand: given ? (levels.get(stockId(source.warehouse, claim.supplierSku))?.available ?? 0) : 0,
        });
      }
    }
    const results = await changeMirrored(db, session, changes);
    // What ceased to count is 0 on every listing, also where nothing was left to mirror: no rule stands in its way.
    const ceased = claims.flatMap((claim) => (dueOf(claim)?.urgent && !countsNow(claim) ? [claim.sku] : []));
    const changed = [...changes.flatMap(({ sku }, index) => (results[index]?.changed ? [sku] : [])), ...ceased];
    const entries = claims.flatMap((claim): RecordEntry[] => {
      const due = dueOf(claim);
      const own = results.filter((_, index) => changes[index]?.sku === claim.sku);
      if (!due) return [];
      return [
        {
          id: claim._id,
          account: claim.supplier,
          kind: 'distributor',
          sku: claim.supplierSku,
          store: null,
          distributor: claim.distributor,
          result: {
            quantity: own.reduce((sum, { after }) => sum + after.onHand, 0),
            before: own.reduce((sum, { before }) => sum + before.onHand, 0),
            cause: due.cause,
            rule: 'distribution',
            revision: 1,
            at: now(),
            outcome: 'accepted',
            error: null,
            attempts: 1,
            changes: due.changes,
          },
        },
      ];
    });
    const distributor = claims[0]?.distributor;
    const lanes =
      distributor === undefined || changed.length === 0
        ? []
        : await stock.markChanged(
            session,
            distributor,
            [...new Set(changed)],
            batch[0]?.cause ?? 'mirror',
            batch.some(({ urgent }) => urgent),
          );
    await dues.settle(session, batch);
    return { entries, lanes };
  }

  return {
    /** One pass over what is due in a partnership's mirror lane. Safe to repeat. */
    async pass(partnership: string): Promise<MirrorPass> {
      const lane = mirrorLaneId(partnership);
      const terms = found(await models.partnerships.findById(partnership, { supplier: 1 }).lean(), 'partnership');
      const lanes = new Set<string>();
      let done = 0;
      for (let round = 0; round < 25; round += 1) {
        const batch = await dues.next(lane, BATCH, false);
        if (batch.length === 0) return { done, more: false, lanes: [...lanes] };
        const result = await db.transact(
          (session) => mirror(session, partnership, batch),
          // It writes what the pushes to this supplier write: in one process they take turns.
          `stock/${terms.supplier}`,
        );
        await pushes.record(result.entries);
        for (const name of result.lanes) lanes.add(name);
        done += batch.length;
      }
      return { done, more: true, lanes: [...lanes] };
    },
  };
}
