/** The moves of a supply order, mirrored to the distributor's package, and what its platform is told. Contract: orders.md, Supply orders. */
import type { ClientSession } from 'mongoose';
import { type FailureCode, HubError } from '../../domain/failures';
import type { PackageStatus } from '../../domain/orders';
import { orderRecallId, supplyOrderProcessId } from '../../domain/process-ids';
import { refusalOfMove, SUPPLY_ORDER_MOVES, type SupplyOrderMove, unitsBySku } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { OperationStatus, PackageDoc, ShipmentDoc, SupplyOrderDoc } from '../models/documents';
import { createFileRepository } from './files';
import { createOperationRepository } from './operations';
import { platformLinesOf } from './platform-lines';
import type { RecallRepository } from './recalls';
import { createStockRepository } from './stock';

export interface MoveInput {
  readonly command: string;
  /** With `ship`. */
  readonly shipment?: { readonly carrier: string | null; readonly trackingNumber: string };
  /** The platform knows of the shipment: in these words. */
  readonly toldByPlatform?: string;
}

export interface ShipmentToTell {
  readonly store: string;
  readonly platformOrder: string;
  /** The platform's ids of the lines in the parcel. */
  readonly lineIds: readonly string[];
  readonly carrier: string | null;
  readonly trackingNumber: string;
  /** Of the other packages of the order that left. */
  readonly othersNumbers: readonly string[];
  /** No other package of the order is still to leave. */
  readonly othersAreOut: boolean;
  /** Since when it waits for them. Epoch ms. */
  readonly leftAt: number;
}

/** A package in one of these has not left yet, and still may. */
const STILL_HERE: readonly PackageStatus[] = [
  'push_failed',
  'new',
  'pushing',
  'pushed',
  'recalling',
  'packed',
  'to_pickup',
];

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
  const files = createFileRepository(db);

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
    { shipment: given, toldByPlatform }: MoveInput,
  ): Promise<ShipmentDoc> {
    const at = now();
    // A parcel of gifts alone is none of the platform's.
    const isOfPlatform = pkg.store !== 'api' && toldByPlatform === undefined && platformLinesOf(pkg.lines).length > 0;
    if (isOfPlatform)
      await operations.begin(session, {
        workflowId: supplyOrderProcessId(pkg._id),
        kind: 'shipment_notice',
        accounts: [row.supplier, row.distributor],
        document: row._id,
      });
    return {
      carrier: given?.carrier ?? row.carrier?.carrier ?? null,
      trackingNumber: given?.trackingNumber ?? '',
      at,
      platform: isOfPlatform ? 'due' : 'none',
      open: isOfPlatform,
      lookAt: at,
      detail: toldByPlatform ?? null,
    };
  }

  async function moveOnce(
    session: ClientSession,
    supplier: string,
    id: string,
    move: SupplyOrderMove,
    input: MoveInput,
  ): Promise<Moved> {
    const { command } = input;
    const row = found(
      await models.supplyOrders.findById(id).session(session).lean(),
      'supply order',
      (row) => row.supplier === supplier,
    );
    const { to } = SUPPLY_ORDER_MOVES[move];
    // A repeat, however late: other moves may have come after it.
    if (row.moves?.[move] === command)
      return { supplyOrder: row, recallToEnd: null, toTell: row.shipment?.open ?? false };
    const open = row.recall?.open ? row.recall : null;
    const refusal = refusalOfMove(row.status, move, open?.state ?? null, row.outbound?.state);
    if (refusal !== null)
      throw new HubError('invalid_transition', refusal, { members: { currentStatus: row.status, move } });
    const pkg = found(await models.packages.findById(row.package).session(session).lean(), 'package');
    if (move === 'ship') await takeOut(session, row);
    const shipment = move === 'ship' ? await shipmentOf(session, row, pkg, input) : (row.shipment ?? null);
    const moves = { ...row.moves, [move]: command };
    const moved: SupplyOrderDoc = { ...row, status: to, moves, shipment, updatedAt: now() };
    const printed = move === 'complete' ? row.printed : null;
    if (printed) await files.release(session, printed.file);
    const set = {
      ...{ status: to, moves, shipment, updatedAt: moved.updatedAt },
      ...(printed ? { printed: null } : {}),
    };
    await models.supplyOrders.collection.updateOne({ _id: id } as never, { $set: set }, { session });
    // The package is written with every move, so that a recall that reads it conflicts with the move.
    const isOver = move === 'complete' && pkg.label;
    if (isOver) await files.release(session, isOver.file);
    await models.packages.collection.updateOne(
      { _id: pkg._id } as never,
      {
        $set: {
          status: open ? pkg.status : to,
          shipment,
          updatedAt: moved.updatedAt,
          ...(isOver ? { label: null } : {}),
        },
      },
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

  /** Writes what became of the notice, on both sides, and ends its operation where it is over. */
  async function note(
    session: ClientSession,
    pkg: PackageDoc,
    set: Pick<ShipmentDoc, 'platform' | 'open' | 'detail'> & { lookAt?: Date },
    outcome: { status: OperationStatus; code?: FailureCode } | null,
  ): Promise<void> {
    const fields = Object.fromEntries(Object.entries(set).map(([name, value]) => [`shipment.${name}`, value]));
    if (pkg.supplyOrder !== null)
      await models.supplyOrders.collection.updateOne({ _id: pkg.supplyOrder } as never, { $set: fields }, { session });
    await models.packages.collection.updateOne({ _id: pkg._id } as never, { $set: fields }, { session });
    if (outcome !== null)
      await operations.end(session, supplyOrderProcessId(pkg._id), outcome.status, {
        ...(outcome.status === 'done'
          ? { result: pkg.supplyOrder === null ? { package: pkg._id } : { supplyOrder: pkg.supplyOrder } }
          : {}),
        ...(outcome.code === undefined ? {} : { error: { code: outcome.code, detail: set.detail ?? '' } }),
      });
  }

  /** Runs `work` on a package whose platform is still to be told. @returns whether it is */
  async function whileOpen(
    id: string,
    work: (session: ClientSession, pkg: PackageDoc) => Promise<void>,
  ): Promise<boolean> {
    return db.transact(async (session) => {
      const pkg = await models.packages.findById(id).session(session).lean();
      if (!pkg?.shipment?.open) return false;
      await work(session, pkg);
      return true;
    });
  }

  return {
    /** A move within the caller's transaction. The caller does what is to be done after the commit. */
    moveWithin: moveOnce,

    /** What the platform of a package is to be told; null where it is told, or given up. */
    async shipmentToTell(id: string): Promise<ShipmentToTell | null> {
      const pkg = found(await models.packages.findById(id).lean(), 'package');
      if (!pkg.shipment?.open) return null;
      const order = found(await models.orders.findById(pkg.order, { platformOrder: 1 }).lean(), 'order');
      const others = await models.packages
        .find({ order: pkg.order, _id: { $ne: id } }, { status: 1, lines: 1, shipment: 1 })
        .lean();
      return {
        store: pkg.store,
        platformOrder: order.platformOrder,
        lineIds: platformLinesOf(pkg.lines),
        carrier: pkg.shipment.carrier,
        trackingNumber: pkg.shipment.trackingNumber,
        othersNumbers: others.flatMap(({ shipment }) => shipment?.trackingNumber || []),
        leftAt: pkg.shipment.at.getTime(),
        othersAreOut: others.every(
          ({ status, lines }) => !STILL_HERE.includes(status) || platformLinesOf(lines).length === 0,
        ),
      };
    },

    /** The platform takes the order as a whole, and not all of it left: looked at again later. */
    shipmentWaits: (pkg: string, forMs: number) =>
      whileOpen(pkg, (session, row) => {
        const lookAt = new Date(now().getTime() + forMs);
        return note(session, row, { platform: 'waiting', open: true, detail: null, lookAt }, null);
      }),

    /** The platform knows. @param whole every shipped package of the order was told with it */
    shipmentTold: (pkg: string, whole: boolean) =>
      whileOpen(pkg, async (session, row) => {
        const told = { platform: 'told', open: false, detail: null } as const;
        await note(session, row, told, { status: 'done' });
        if (!whole) return;
        const others = await models.packages
          .find({ order: row.order, _id: { $ne: pkg }, 'shipment.open': true } as never)
          .session(session)
          .lean();
        for (const other of others) await note(session, other, told, { status: 'done' });
      }),

    /** The tries are used up: an operator decides. */
    parkShipment: (pkg: string, { code, detail }: { code: FailureCode; detail: string }) =>
      whileOpen(pkg, (session, row) =>
        note(session, row, { platform: 'due', open: true, detail }, { status: 'parked', code }),
      ),

    resumeShipment: (pkg: string) =>
      whileOpen(pkg, async (session, row) => {
        await note(session, row, { platform: 'due', open: true, detail: null }, null);
        await operations.begin(session, {
          workflowId: supplyOrderProcessId(pkg),
          kind: 'shipment_notice',
          accounts: row.supplier === null ? [row.account] : [row.supplier, row.account],
          document: row.supplyOrder ?? row._id,
        });
      }),

    /** The platform is not told: both sides see why. */
    giveUpShipment: (pkg: string, detail: string) =>
      whileOpen(pkg, (session, row) =>
        note(session, row, { platform: 'failed', open: false, detail }, { status: 'abandoned', code: 'abandoned' }),
      ),

    /** Shipments whose platform should be told by a running workflow. */
    async openShipments(before: Date, limit: number): Promise<{ account: string; package: string }[]> {
      const rows = await models.packages
        .find({ 'shipment.open': true, 'shipment.lookAt': { $lt: before } } as never, { account: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id, account }) => ({ account, package: _id }));
    },

    /** Moves a supply order on. 404; 409 `invalid_transition`. The same command again changes nothing. */
    move: (supplier: string, id: string, move: SupplyOrderMove, input: MoveInput): Promise<Moved> =>
      db.transact(
        (session) => moveOnce(session, supplier, id, move, input),
        move === 'ship' ? `stock/${supplier}` : undefined,
      ),
  };
}
