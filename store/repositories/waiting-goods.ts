/** Own packages that no warehouse had the goods for get them once there are some. Contract: orders.md, Orders in. */
import type { ClientSession } from 'mongoose';
import { unitsBySku } from '../../domain/supply-orders';
import type { Database } from '../database';
import type { PackageDoc } from '../models/documents';
import type { StockChange } from './stock';

/** Packages looked at in one transaction; what waits behind them is looked at by the next goods that come. */
const MOST = 200;
/** States of orders whose goods are still to leave; a wish to cancel that was refused stays at some platforms. */
const HERE = ['ready_to_ship', 'cancel_requested'];

type Need = Pick<PackageDoc, 'lines' | 'warehouse'>;

/** What the account's own warehouses have of these SKUs, as a chooser of the one with enough of every line. */
async function ownGoods({ models }: Database, session: ClientSession, account: string, skus: readonly string[]) {
  const own = await models.warehouses
    .find({ account, kind: 'own' }, { _id: 1 })
    .sort({ _id: 1 })
    .session(session)
    .lean();
  const ids = own.map(({ _id }) => _id);
  const rows = await models.stock
    .find({ account, warehouse: { $in: ids }, sku: { $in: [...skus] } }, { warehouse: 1, sku: 1, available: 1 })
    .session(session)
    .lean();
  const keyOf = (place: string, sku: string) => `${place}/${sku}`;
  const free = new Map(rows.map(({ warehouse, sku, available }) => [keyOf(warehouse, sku), available]));
  return {
    /** The package's own warehouse first; null where none has enough. */
    placeFor({ lines, warehouse }: Need): string | null {
      const units = unitsBySku(lines);
      const hasEnough = (place: string) =>
        units.every(([sku, quantity]) => (free.get(keyOf(place, sku)) ?? 0) >= quantity);
      return [...ids.filter((id) => id === warehouse), ...ids].find(hasEnough) ?? null;
    },
    take(place: string, sku: string, quantity: number): void {
      free.set(keyOf(place, sku), (free.get(keyOf(place, sku)) ?? 0) - quantity);
    },
  };
}

/** The account's own warehouse with enough of every line, the package's own one first; null where there is none. */
export async function placeWithEnough(
  db: Database,
  session: ClientSession,
  { account, ...need }: Need & Pick<PackageDoc, 'account'>,
): Promise<string | null> {
  const skus = unitsBySku(need.lines).map(([sku]) => sku);
  return (await ownGoods(db, session, account, skus)).placeFor(need);
}

export function createWaitingGoods(
  db: Database,
  change: (session: ClientSession, input: StockChange) => Promise<void>,
) {
  const { models, now } = db;

  async function promise(session: ClientSession, pkg: PackageDoc, warehouse: string): Promise<void> {
    for (const [sku, quantity] of unitsBySku(pkg.lines))
      await change(session, {
        ...{ account: pkg.account, warehouse, sku, kind: 'allocate', reason: 'goods came', document: pkg._id },
        key: `${pkg._id}/allocate/${sku}`,
        by: { allocated: quantity },
      });
    await models.packages.updateOne(
      { _id: pkg._id },
      { $set: { allocated: true, warehouse, failure: null, updatedAt: now() } },
      { session },
    );
  }

  return {
    /**
     * Goods came, or were released: own packages that wait for them are allocated, oldest first, each wholly or not at all, in the
     * caller's transaction. One that is being cancelled gives them back with its end. @returns the SKUs that were allocated
     */
    async allocate(session: ClientSession, account: string, skus: readonly string[]): Promise<string[]> {
      const waiting = await models.packages
        .find({ account, status: 'new', partnership: null, allocated: false, 'lines.sku': { $in: [...skus] } } as never)
        .sort({ _id: 1 })
        .limit(MOST)
        .session(session)
        .lean();
      if (waiting.length === 0) return [];
      const here = await models.orders
        .find({ _id: { $in: waiting.map(({ order }) => order) }, state: { $in: HERE } } as never, { _id: 1 })
        .session(session)
        .lean();
      const due = waiting.filter(({ order }) => here.some(({ _id }) => _id === order));
      const needed = new Set(due.flatMap(({ lines }) => lines.map(({ sku }) => sku)));
      const goods = await ownGoods(db, session, account, [...needed]);
      const taken = new Set<string>();
      for (const pkg of due) {
        const warehouse = goods.placeFor(pkg);
        if (warehouse === null) continue;
        await promise(session, pkg, warehouse);
        for (const [sku, quantity] of unitsBySku(pkg.lines)) {
          goods.take(warehouse, sku, quantity);
          taken.add(sku);
        }
      }
      return [...taken];
    },
  };
}
