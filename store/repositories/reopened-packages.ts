/**
 * Packages that were recalled for a cancellation which did not come about: their order is alive, so that they can be pushed again,
 * with a charge of its own. Contract: orders.md, Recall.
 */
import type { ClientSession } from 'mongoose';
import { orderLineOf } from '../../domain/order-lines';
import { unitsBySku } from '../../domain/supply-orders';
import type { Database } from '../database';
import type { CancellationDoc, OrderDoc, PackageDoc } from '../models/documents';
import { automationOf } from './automation';
import { dueOrderOf } from './dues';
import { changeMirrored } from './mirrored-stock';
import { createNotificationRepository } from './notifications';
import { createStockRepository } from './stock';

/** States of orders that go on. */
const ALIVE = ['unpaid', 'ready_to_ship', 'cancel_requested'];

/** It was recalled for this cancellation, and not because its distributor asked for it alone. */
const isOf = ({ recalls }: CancellationDoc, { _id, recall }: PackageDoc) =>
  recall?.state === 'recalled' &&
  recall.command === null &&
  recalls.some((one) => one.package === _id && one.attempt === recall.attempt);

const isStillOf = ({ lines }: OrderDoc, line: string) => lines.some((one) => one.line === orderLineOf(line));

export function createReopening(db: Database) {
  const { models, now } = db;
  const notifications = createNotificationRepository(db);
  const stock = createStockRepository(db);

  /** The distributor's own allocation, as it was before the push. A SKU that is gone meanwhile leaves the package as it is. */
  async function allocate(session: ClientSession, pkg: PackageDoc, warehouse: string): Promise<boolean> {
    const { _id: id, account, recall } = pkg;
    const units = unitsBySku(pkg.lines);
    // Written, so that the removal of a SKU conflicts with the package that needs it again.
    const { matchedCount } = await models.skus.updateMany(
      { account, sku: { $in: units.map(([sku]) => sku) } },
      { $inc: { followers: 1 } },
      { session },
    );
    if (matchedCount < units.length) return false;
    await changeMirrored(
      db,
      session,
      units.map(([sku, quantity]) => ({
        ...{ account, warehouse, sku, kind: 'allocate', reason: 'order goes on', document: id },
        key: `${id}/reopened-${recall?.attempt}/${sku}`,
        by: { allocated: quantity },
      })),
    );
    return true;
  }

  return {
    /**
     * The cancellation ended, and the order goes on: what was recalled for it is `new` again, in the caller's transaction. Where the
     * partnership is pushed by itself the sweep begins the push, once the platform was asked how far the order is.
     * @returns lanes to wake
     */
    async reopen(session: ClientSession, order: OrderDoc, cancellation: CancellationDoc): Promise<string[]> {
      if (cancellation.recalls.length === 0 || !ALIVE.includes(order.state)) return [];
      const packages = await models.packages.find({ order: order._id, status: 'recalled' }).session(session).lean();
      const lanes: string[] = [];
      for (const pkg of packages) {
        const { _id, account, recall, partnership, warehouse } = pkg;
        if (recall === null || warehouse === null || !isOf(cancellation, pkg)) continue;
        // The platform cancelled all that was in it meanwhile.
        if (!pkg.lines.some(({ line }) => isStillOf(order, line))) continue;
        if (!(await allocate(session, pkg, warehouse))) continue;
        const settings = await automationOf(db, session, account);
        const isAuto = partnership !== null && settings['auto-push'].partnerships.includes(partnership);
        const detail = `${recall.detail ?? 'It was recalled'}. The order was not cancelled after all: it can be pushed again`;
        const at = now();
        const set = {
          ...{ status: 'new', allocated: true, supplyOrder: null, charge: null, pushedAt: null, shipment: null },
          ...{ blockers: [], failure: null, recall: { ...recall, detail }, updatedAt: at },
          autoPush: isAuto ? { open: true, lookAt: at } : pkg.autoPush,
        };
        await models.packages.collection.updateOne({ _id: _id as never }, { $set: set }, { session });
        await notifications.notify(session, {
          ...{ account, event: 'order_goes_on', occurrence: `${_id}/${recall.attempt}`, document: _id, detail },
        });
        const skus = unitsBySku(pkg.lines).map(([sku]) => sku);
        lanes.push(
          ...(await stock.markChanged(session, account, skus, `order ${order._id} goes on`, false, dueOrderOf(order))),
        );
      }
      return [...new Set(lanes)];
    },
  };
}
