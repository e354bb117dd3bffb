/** Packages of an account's own goods leave from its own warehouse. Contract: orders.md, Orders in; http-api.md, orders. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { hasLeft } from '../../domain/orders';
import { supplyOrderProcessId } from '../../domain/process-ids';
import { unitsBySku } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { OrderDoc, PackageDoc, ShipmentDoc } from '../models/documents';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { platformLinesOf } from './platform-lines';
import { createStockRepository } from './stock';
import { placeWithEnough } from './waiting-goods';

export interface OwnShipment {
  readonly command: string;
  /** One package of the order; all of the account's own where absent. */
  readonly package?: string;
  readonly carrier: string | null;
  readonly trackingNumber: string;
}

export function createOwnShipmentRepository(db: Database) {
  const { models, now } = db;
  const operations = createOperationRepository(db);
  const notifications = createNotificationRepository(db);
  const stock = createStockRepository(db);

  /** Allocated becomes gone, once; what was not allocated must be available now. @returns lanes to wake */
  async function leave(session: ClientSession, pkg: PackageDoc, shipment: ShipmentDoc): Promise<string[]> {
    const units = unitsBySku(pkg.lines);
    const { _id, account, warehouse, allocated } = pkg;
    if (warehouse === null) throw new HubError('insufficient_stock', 'No warehouse has the goods');
    for (const [sku, quantity] of units)
      await stock.change(session, {
        account,
        warehouse,
        sku,
        kind: 'ship',
        reason: 'order shipped',
        document: _id,
        key: `${_id}/ship/${sku}`,
        by: { onHand: -quantity, allocated: allocated ? -quantity : 0 },
      });
    await models.packages.collection.updateOne(
      { _id } as never,
      { $set: { status: 'shipped', allocated: false, warehouse, failure: null, shipment, updatedAt: now() } },
      { session },
    );
    const skus = units.map(([sku]) => sku);
    return allocated ? [] : stock.markChanged(session, account, skus, `ship ${_id}`);
  }

  /** It left, and no warehouse of the hub's books had it: no stock is taken, and the owner is told. */
  async function leaveWithout(session: ClientSession, pkg: PackageDoc, shipment: ShipmentDoc): Promise<void> {
    const detail = 'The platform says that it left; no warehouse had enough of every line, and no stock was taken';
    const failure = { code: 'insufficient_stock', detail, held: 'nothing', retryable: false };
    await models.packages.collection.updateOne(
      { _id: pkg._id } as never,
      { $set: { status: 'shipped', failure, shipment, updatedAt: now() } },
      { session },
    );
    await notifications.notify(session, {
      ...{ account: pkg.account, event: 'goods_missing', occurrence: pkg._id, document: pkg._id, detail },
    });
  }

  /** The platform alone says that it left: what it holds, or what is available, is gone. @returns lanes to wake */
  async function leaveByItself(session: ClientSession, pkg: PackageDoc): Promise<string[]> {
    const at = now();
    const shipment: ShipmentDoc = {
      ...{ carrier: null, trackingNumber: '', at, platform: 'told', open: false, lookAt: at, detail: null },
    };
    const warehouse = pkg.allocated ? pkg.warehouse : await placeWithEnough(db, session, pkg);
    if (warehouse !== null) return leave(session, { ...pkg, warehouse }, shipment);
    await leaveWithout(session, pkg, shipment);
    return [];
  }

  async function shipOne(
    session: ClientSession,
    pkg: PackageDoc,
    { command, carrier, trackingNumber }: OwnShipment,
  ): Promise<string[]> {
    if (pkg.shipment?.command === command) return [];
    if (pkg.status !== 'new')
      throw new HubError('invalid_transition', `The package ${pkg._id} is ${pkg.status}; ship needs new`, {
        members: { currentStatus: pkg.status, package: pkg._id },
      });
    const at = now();
    // A parcel of gifts alone is none of the platform's.
    const isOfPlatform = pkg.store !== 'api' && platformLinesOf(pkg.lines).length > 0;
    if (isOfPlatform)
      await operations.begin(session, {
        workflowId: supplyOrderProcessId(pkg._id),
        kind: 'shipment_notice',
        accounts: [pkg.account],
        document: pkg._id,
      });
    const notice = { platform: isOfPlatform ? ('due' as const) : ('none' as const), open: isOfPlatform };
    return leave(session, pkg, { carrier, trackingNumber, at, ...notice, lookAt: at, detail: null, command });
  }

  /** The packages that are meant. 409 `not_shippable` for those of a supplier, who ships them. */
  function wanted(packages: readonly PackageDoc[], id: string | undefined, command: string): PackageDoc[] {
    const own = packages.filter(({ partnership }) => partnership === null);
    const refuse = (detail: string): never => {
      const theirs = packages.filter(({ partnership }) => partnership !== null).map(({ _id }) => _id);
      throw new HubError('not_shippable', detail, { members: { packages: theirs } });
    };
    if (id !== undefined) {
      const one = found(
        packages.find(({ _id }) => _id === id),
        'package of this order',
      );
      if (one.partnership !== null) refuse(`The package ${id} is its supplier’s to ship: push it`);
      return [one];
    }
    if (own.length === 0)
      refuse(
        packages.length === 0
          ? 'The order has no packages yet'
          : 'Every package of the order is its supplier’s to ship: push it',
      );
    const open = own.filter(({ status, shipment }) => status === 'new' || shipment?.command === command);
    return open.length > 0 ? open : own;
  }

  return {
    /**
     * Ships own packages: stock and status in one transaction; the platform is told by the workflow of each.
     * 409 `not_shippable`, `invalid_transition`, `insufficient_stock`.
     */
    async ship(
      account: string,
      id: string,
      input: OwnShipment,
    ): Promise<{ toTell: readonly string[]; lanes: readonly string[] }> {
      return db.transact(async (session) => {
        const order = found(
          await models.orders.findById(id).session(session).lean(),
          'order',
          (row) => row.account === account,
        );
        const packages = await models.packages.find({ order: id }).sort({ _id: 1 }).session(session).lean();
        const mine = wanted(packages, input.package, input.command);
        const isRepeat = mine.every(({ shipment }) => shipment?.command === input.command);
        // A wish that was refused, or given up, stays at some platforms: the order goes on.
        const isShippable = order.state === 'ready_to_ship' || order.state === 'cancel_requested';
        if (!isRepeat && (!isShippable || order.cancellation?.open))
          throw new HubError(
            'invalid_transition',
            order.cancellation?.open ? 'The order is being cancelled' : `The order is ${order.state}`,
            { members: { currentStatus: order.state } },
          );
        const lanes: string[] = [];
        for (const pkg of mine) lanes.push(...(await shipOne(session, pkg, input)));
        return { toTell: order.store === 'api' ? [] : mine.map(({ _id }) => _id), lanes };
      }, `stock/${account}`);
    },

    /** The platform says how far the order is: own packages follow it. @returns lanes to wake */
    async follow(session: ClientSession, order: Pick<OrderDoc, '_id' | 'state'>): Promise<string[]> {
      if (!hasLeft(order.state)) return [];
      const packages = await models.packages.find({ order: order._id, partnership: null }).session(session).lean();
      const lanes: string[] = [];
      const at = now();
      for (const pkg of packages) {
        if (pkg.status !== 'new' && pkg.status !== 'shipped') continue;
        if (pkg.status === 'new') lanes.push(...(await leaveByItself(session, pkg)));
        if (order.state === 'completed')
          await models.packages.updateOne(
            { _id: pkg._id },
            { $set: { status: 'completed', updatedAt: at } },
            { session },
          );
      }
      return lanes;
    },
  };
}
