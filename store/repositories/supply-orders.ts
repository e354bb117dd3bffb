/** The moves of a supply order, mirrored to the distributor's package. Contract: orders.md, Supply orders. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { orderRecallId, supplyOrderProcessId } from '../../domain/process-ids';
import { refusalOfMove, SUPPLY_ORDER_MOVES, type SupplyOrderMove, unitsBySku } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { PackageDoc, ShipmentDoc, SupplyOrderDoc } from '../models/documents';
import { createOperationRepository } from './operations';
import type { RecallRepository } from './recalls';
import { createStockRepository } from './stock';

export interface MoveInput {
  readonly command: string;
  /** With `ship`. */
  readonly shipment?: { readonly carrier: string | null; readonly trackingNumber: string };
}

export interface Moved {
  readonly supplyOrder: SupplyOrderDoc;
  /** The workflow of a recall that this move ended. */
  readonly recallToEnd: string | null;
  /** The platform is to be told by the supply order's workflow. */
  readonly toTell: boolean;
}

export type SupplyOrderRepository = ReturnType<typeof createSupplyOrderRepository>;

export function createSupplyOrderRepository(db: Database, recalls: Pick<RecallRepository, 'fail'>) {
  const { models, now } = db;
  const operations = createOperationRepository(db);
  const stock = createStockRepository(db);

  /** Allocated becomes gone: both fall, once. */
  async function takeOut(session: ClientSession, { _id, supplier, warehouse, package: pkg, lines }: SupplyOrderDoc) {
    for (const [sku, quantity] of unitsBySku(lines))
      await stock.change(session, {
        account: supplier,
        warehouse,
        sku,
        kind: 'ship',
        reason: 'order shipped',
        document: pkg,
        key: `${_id}/ship/${sku}`,
        by: { onHand: -quantity, allocated: -quantity },
      });
  }

  async function shipmentOf(
    session: ClientSession,
    row: SupplyOrderDoc,
    pkg: PackageDoc,
    given: MoveInput['shipment'],
  ): Promise<ShipmentDoc> {
    const at = now();
    const isOfPlatform = pkg.store !== 'api';
    if (isOfPlatform)
      await operations.begin(session, {
        workflowId: supplyOrderProcessId(pkg._id),
        kind: 'shipment_notice',
        accounts: [row.supplier, row.distributor],
        document: row._id,
      });
    return {
      carrier: given?.carrier ?? null,
      trackingNumber: given?.trackingNumber ?? '',
      at,
      platform: isOfPlatform ? 'due' : 'none',
      open: isOfPlatform,
      lookAt: at,
      detail: null,
    };
  }

  async function moveOnce(
    session: ClientSession,
    supplier: string,
    id: string,
    move: SupplyOrderMove,
    { command, shipment: given }: MoveInput,
  ): Promise<Moved> {
    const row = found(await models.supplyOrders.findOne({ _id: id, supplier }).session(session).lean(), 'supply order');
    const { to } = SUPPLY_ORDER_MOVES[move];
    if (row.command === command && row.status === to)
      return { supplyOrder: row, recallToEnd: null, toTell: row.shipment?.open ?? false };
    const open = row.recall?.open ? row.recall : null;
    const refusal = refusalOfMove(row.status, move, open?.state ?? null);
    if (refusal !== null)
      throw new HubError('invalid_transition', refusal, { members: { supplyOrder: row.status, move } });
    const pkg = found(await models.packages.findById(row.package).session(session).lean(), 'package');
    if (move === 'ship') await takeOut(session, row);
    const shipment = move === 'ship' ? await shipmentOf(session, row, pkg, given) : (row.shipment ?? null);
    const moved: SupplyOrderDoc = { ...row, status: to, command, shipment, updatedAt: now() };
    const set = { status: to, command, shipment, updatedAt: moved.updatedAt };
    await models.supplyOrders.collection.updateOne({ _id: id } as never, { $set: set }, { session });
    // The package is written with every move, so that a recall that reads it conflicts with the move.
    await models.packages.collection.updateOne(
      { _id: pkg._id } as never,
      { $set: { status: open ? pkg.status : to, shipment, updatedAt: moved.updatedAt } },
      { session },
    );
    if (move !== 'ship' || open === null)
      return { supplyOrder: moved, recallToEnd: null, toTell: shipment?.open ?? false };
    // The goods are gone: that is an answer to whoever asked for them.
    await recalls.fail(
      session,
      { pkg: { ...pkg, shipment }, supplyOrder: moved, recall: open },
      { code: 'recall_not_possible', detail: 'The supplier shipped it before the recall was decided' },
    );
    const after = found(await models.supplyOrders.findById(id).session(session).lean(), 'supply order');
    return { supplyOrder: after, recallToEnd: orderRecallId(pkg._id, open.attempt), toTell: shipment?.open ?? false };
  }

  return {
    /** Moves a supply order on. 404; 409 `invalid_transition`. The same command again changes nothing. */
    move: (supplier: string, id: string, move: SupplyOrderMove, input: MoveInput): Promise<Moved> =>
      db.transact(
        (session) => moveOnce(session, supplier, id, move, input),
        move === 'ship' ? `stock/${supplier}` : undefined,
      ),
  };
}
