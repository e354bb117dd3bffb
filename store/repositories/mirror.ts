/** A partnership's mirror: the supplier's available quantity becomes the distributor's on hand, one to one per warehouse. */
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import { mirrorLaneId } from '../../domain/process-ids';
import { DEFAULT_DISTRIBUTION_RULE, distributorReceives } from '../../domain/push-rules';
import { type Database, found } from '../database';
import type { ClaimDoc, DueDoc, PartnershipDoc } from '../models/documents';
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

export function createMirrorRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const stock = createStockRepository(db);
  const pushes = createPushRepository(db);

  /** Who gets what there is of these SKUs, and who gets 0, by the supplier's rule. */
  async function receivers(session: ClientSession, terms: PartnershipDoc | null, skus: readonly string[]) {
    const supplier = terms?.supplier ?? '';
    const setup = await models.suppliers.findById(supplier, { pushRule: 1 }).session(session).lean();
    const rule = setup?.pushRule ?? DEFAULT_DISTRIBUTION_RULE;
    if (rule.zeroBelow === null && rule.lowStock === null) return { rule, receives: () => true };
    // Over all that could be given, whoever was given it: what others agree on, or end, changes nobody's quantity here.
    const rows = await models.stock
      .find({ account: supplier, sku: { $in: [...skus] }, mirrored: { $ne: true } }, { sku: 1, available: 1 })
      .session(session)
      .lean();
    const totals = new Map<string, number>();
    for (const { sku, available } of rows) totals.set(sku, (totals.get(sku) ?? 0) + available);
    return {
      rule,
      receives: (sku: string, distributor: string) => distributorReceives(rule, totals.get(sku) ?? 0, distributor),
    };
  }

  /**
   * Mirrors what is due: quantities, journal, push records and the distributor's own due marks in one transaction.
   * @returns the lanes of the distributor's stores
   */
  async function mirror(session: ClientSession, partnership: string, batch: readonly DueDoc[]): Promise<string[]> {
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
    const { rule, receives } = await receivers(session, terms, skus);
    const countsNow = (claim: ClaimDoc) => terms?.status === 'partnered' && !claim.stopped && claim.causes.length === 0;
    const changes: MirroredChange[] = [];
    for (const claim of claims) {
      const counts = countsNow(claim);
      for (const { _id, source } of places) {
        const given =
          counts &&
          source !== null &&
          terms?.warehouses.includes(source.warehouse) &&
          receives(claim.supplierSku, claim.distributor);
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
    const changed = new Set([
      ...changes.flatMap(({ sku }, index) => (results[index]?.changed ? [sku] : [])),
      ...ceased,
    ]);
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
            revision: rule.revision,
            at: now(),
            outcome: 'accepted',
            error: null,
            attempts: 1,
            changes: due.changes,
          },
        },
      ];
    });
    await pushes.recordWithin(session, entries);
    const distributor = claims[0]?.distributor ?? '';
    const causes = new Map(claims.map((claim) => [claim.sku, dueOf(claim)?.cause ?? 'mirror']));
    const lanes = await stock.markChanged(session, distributor, [...changed], causes, new Set(ceased));
    await dues.settle(session, batch);
    return lanes;
  }

  return {
    /** One pass over what is due in a partnership's mirror lane. Safe to repeat. */
    async pass(partnership: string): Promise<MirrorPass> {
      const lane = mirrorLaneId(partnership);
      const terms = found(await models.partnerships.findById(partnership, { supplier: 1 }).lean(), 'partnership');
      const lanes = new Set<string>();
      let done = 0;
      const reader = dues.reader(lane, BATCH);
      for (let round = 0; round < 25; round += 1) {
        const batch = await reader.next();
        if (batch.length === 0) return { done, more: false, lanes: [...lanes] };
        const marked = await db.transact(
          (session) => mirror(session, partnership, batch),
          // It writes what the pushes to this supplier write: in one process they take turns.
          `stock/${terms.supplier}`,
        );
        for (const name of marked) lanes.add(name);
        done += batch.length;
      }
      return { done, more: true, lanes: [...lanes] };
    },
  };
}
