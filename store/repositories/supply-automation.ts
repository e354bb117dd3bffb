/**
 * What a supplier's rules do to a supply order: tags and carrier when it comes, and the moves that are made by themselves. What is
 * to be done is written with what makes it due, so that nothing is lost; doing it twice does it once. Contract: orders.md, Automation.
 */
import type { ClientSession } from 'mongoose';
import {
  type AutomationSettings,
  autoMoves,
  chooseCarrier,
  choosePacking,
  followedTo,
  marksOf,
  type OrderFacts,
  recallInTheWay,
} from '../../domain/automation';
import { supplierArrangesCarrier } from '../../domain/orders';
import type { Database } from '../database';
import type { SupplyOrderDoc } from '../models/documents';
import { automationOf, tellDue } from './automation';
import type { Moved, SupplyOrderRepository } from './supply-orders';

/** A supply order as the supplier's rules see it. */
export const factsOfSupply = (
  row: Pick<
    SupplyOrderDoc,
    'partnership' | 'sourceStore' | 'warehouse' | 'platform' | 'shipping' | 'lines' | 'currency'
  >,
): OrderFacts => ({
  store: null,
  partnership: row.partnership,
  sourceStore: row.sourceStore,
  warehouse: row.warehouse,
  platform: row.platform,
  shipping: row.shipping,
  lines: row.lines,
  amount: {
    amount: row.lines.reduce((sum, { price, quantity }) => sum + price * quantity, 0),
    currency: row.currency,
  },
});

/** The supplier's side of a push: read before its transaction, since nothing is guarded by it. */
export interface SupplyRules {
  readonly settings: AutomationSettings;
  /** The goods lie in a warehouse that somebody else runs. */
  readonly outside: boolean;
}

export async function supplyRulesOf(db: Database, supplier: string, warehouse: string | null): Promise<SupplyRules> {
  const settings = await automationOf(db, null, supplier);
  const place = await db.models.warehouses.findById(warehouse, { kind: 1 }).lean();
  return { settings, outside: place?.kind === 'third_party' };
}

type Made = Pick<SupplyOrderDoc, 'tags' | 'carrier' | 'auto'>;
type BeforeRules = Omit<SupplyOrderDoc, keyof Made>;

/** What the supplier's rules say of a supply order; no rule of the distributor's runs here. */
function ruled({ settings, outside }: SupplyRules, row: BeforeRules) {
  const facts = factsOfSupply(row);
  const carrier = chooseCarrier(settings['shipping-rules'].rules, {
    ...facts,
    supplierArranges: supplierArrangesCarrier(row.shipping, row.platform),
    outside,
  });
  const pack = choosePacking(settings['auto-pack'].rules, { ...facts, carrier: carrier?.carrier ?? null });
  const { tags } = marksOf(settings['mark-rules'].rules, 'supply_orders', facts);
  return { carrier, pack, tags: [...tags] };
}

/**
 * A supply order that is made now, by the rules. In the push's transaction, so that what is to be done to it is never lost; the
 * order is read in it too, since its platform may have said meanwhile that it ships.
 */
export async function withRules(
  db: Database,
  session: ClientSession,
  rules: SupplyRules,
  order: string,
  row: BeforeRules,
): Promise<SupplyOrderDoc> {
  const { pack, carrier, tags } = ruled(rules, row);
  const source = rules.settings['auto-tool'].enabled
    ? await db.models.orders.findById(order, { state: 1, awaitsPickup: 1 }).session(session).lean()
    : null;
  const follow = source === null ? null : followedTo(source);
  const isDue = pack !== null || follow !== null;
  if (isDue) tellDue(db, session, { kind: 'move', supplyOrder: row._id });
  return { ...row, tags, carrier, auto: isDue ? { pack, follow, open: true, lookAt: db.now() } : null };
}

export type AutoMoved =
  | { readonly outcome: 'moved'; readonly moved: Moved }
  | { readonly outcome: 'waits' | 'nothing' };

/** The detail of a shipment that the platform told of, not the other way about. */
const TOLD_BY_PLATFORM = 'The platform said that it shipped';

export function createSupplyAutomation(db: Database, supplyOrders: Pick<SupplyOrderRepository, 'moveWithin'>) {
  const { models, now } = db;

  async function moveOnce(session: ClientSession, id: string): Promise<AutoMoved> {
    const row = await models.supplyOrders.findById(id).session(session).lean();
    if (!row?.auto?.open) return { outcome: 'nothing' };
    // Whoever takes it for its operator tells that it is due again.
    if (row.outbound?.state === 'creating') return { outcome: 'waits' };
    const moves = autoMoves(row.status, recallInTheWay(row.recall), row.auto);
    if (moves === 'wait') return { outcome: 'waits' };
    let moved: Moved | null = null;
    for (const move of moves)
      moved = await supplyOrders.moveWithin(session, row.supplier, id, move, {
        command: `auto/${id}/${move}`,
        ...(move === 'ship'
          ? { shipment: { carrier: null, trackingNumber: '' }, toldByPlatform: TOLD_BY_PLATFORM }
          : {}),
      });
    await models.supplyOrders.collection.updateOne(
      { _id: id } as never,
      { $set: { 'auto.open': false, 'auto.lookAt': now() } },
      { session },
    );
    return moved === null ? { outcome: 'nothing' } : { outcome: 'moved', moved };
  }

  return {
    /**
     * Makes the moves that are due to a supply order by itself, all in one transaction: the supplier who moves it at the same time
     * either comes first, and there is nothing left to do, or finds it moved. Safe to repeat.
     */
    async advance(id: string): Promise<AutoMoved> {
      const row = await models.supplyOrders.findById(id, { supplier: 1, auto: 1 }).lean();
      if (!row?.auto?.open) return { outcome: 'nothing' };
      return db.transact((session) => moveOnce(session, id), `stock/${row.supplier}`);
    },

    /** Supply orders that should have been moved by themselves. */
    async open(before: Date, limit: number): Promise<string[]> {
      const rows = await models.supplyOrders
        .find({ 'auto.open': true, 'auto.lookAt': { $lt: before } } as never, { _id: 1 })
        .sort({ 'auto.lookAt': 1 } as never)
        .limit(limit)
        .lean();
      return rows.map(({ _id }) => _id);
    },

    /** Packages that should have been pushed by themselves. */
    async openPushes(before: Date, limit: number): Promise<{ account: string; package: string }[]> {
      const rows = await models.packages
        .find({ 'autoPush.open': true, 'autoPush.lookAt': { $lt: before } } as never, { account: 1 })
        .sort({ 'autoPush.lookAt': 1 } as never)
        .limit(limit)
        .lean();
      return rows.map(({ _id, account }) => ({ account, package: _id }));
    },

    /** Whether a package is still to be pushed by itself: nobody tried yet. */
    async isToPush(id: string): Promise<boolean> {
      const row = await models.packages.findById(id, { autoPush: 1, status: 1 }).lean();
      return row?.autoPush?.open === true && row.status === 'new';
    },

    /**
     * Whether the order of a package is being cancelled: its push waits for how that ends. Looked at again later, behind what
     * else waits.
     */
    async waitsForCancellation(id: string): Promise<boolean> {
      const row = await models.packages.findById(id, { order: 1 }).lean();
      const order = row && (await models.orders.findById(row.order, { cancellation: 1 }).lean());
      if (!order?.cancellation?.open) return false;
      await models.packages.collection.updateOne({ _id: id, 'autoPush.open': true } as never, {
        $set: { 'autoPush.lookAt': now() },
      });
      return true;
    },

    /** It was tried, or need not be: never again by itself. */
    async pushTried(id: string): Promise<void> {
      await models.packages.collection.updateOne({ _id: id } as never, { $set: { 'autoPush.open': false } });
    },
  };
}
