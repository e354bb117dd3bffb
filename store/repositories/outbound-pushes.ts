/**
 * Pushes into warehouses that others run: the push's transaction is done, and the operator is to take the outbound order. Until
 * then the package is `pushing` and the supply order nobody's to move; refused or withdrawn, a second transaction undoes exactly
 * what the first did. Contract: orders.md, Push.
 */
import type { ClientSession } from 'mongoose';
import type { CarrierChoice } from '../../domain/automation';
import { hintOf } from '../../domain/failures';
import { orderPushId, orderRecallId } from '../../domain/process-ids';
import { unitsBySku } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { OutboundPushDoc, PackageDoc, SupplyOrderDoc } from '../models/documents';
import { createAccountRepository } from './accounts';
import { tellDue } from './automation';
import { createBillingRepository } from './billing';
import { changeMirrored } from './mirrored-stock';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { type OutboundAnswer, OWN_ALLOCATION, type RecallRepository } from './recalls';
import type { Recipient } from './recipients';
import { createStockRepository } from './stock';

/** What the operator of a warehouse is to send out. The supply order's id is the key that makes a repeat no second one. */
export interface NewOutboundOrder {
  readonly supplyOrder: string;
  /** The hub's id of the warehouse. */
  readonly warehouse: string;
  readonly shipping: string;
  readonly platform: string;
  /** As the supplier's rules chose it. */
  readonly carrier: CarrierChoice | null;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
  /** As the supplier may read it; masked where somebody else arranges the carrier. */
  readonly recipient: Recipient | null;
}

/** What the operator said: it has it under this number, or will not take it, in its words. */
export type OutboundCreation =
  | { readonly created: true; readonly reference: string }
  | { readonly created: false; readonly detail: string };

/** What a push that waits for the operator of a warehouse does next. */
export type OutboundTurn =
  | { readonly next: 'create'; readonly order: NewOutboundOrder; readonly askedBefore: boolean }
  /** It is not to go on. */
  | { readonly next: 'withdraw' }
  | OutboundEnd;

export interface OutboundEnd {
  readonly next: 'end';
  readonly outcome: 'pushed' | 'refused' | 'abandoned' | 'superseded';
  readonly lanes: readonly string[];
  /** The workflow of a recall that this ended. */
  readonly recallToEnd: string | null;
}

export const supplyOrderIdOf = (pkg: string, attempt: number) => `${pkg.replace(/^pkg/, 'sord')}-${attempt}`;

/** What stays held while nobody knows what the operator of the warehouse has. */
export const HELD_OUTSIDE =
  'the supplier’s stock, the charge, the quota and the supply order, until the operator of the warehouse answered';

/** What a package shows once its supply order is the supplier's. */
export const pushedBy = ({ _id, charge, pushedAt }: SupplyOrderDoc) => ({
  status: 'pushed' as const,
  allocated: false,
  parked: false,
  blockers: [],
  failure: null,
  charge,
  supplyOrder: _id,
  pushedAt,
});

/** @param allocated the distributor's own allocation, before the transaction ended it */
export const waitingFor = ({ _id, warehouse }: SupplyOrderDoc, allocated: boolean): OutboundPushDoc => ({
  supplyOrder: _id,
  warehouse,
  state: 'creating',
  asked: false,
  allocated,
  why: null,
});

interface Waiting {
  readonly pkg: PackageDoc;
  readonly outbound: OutboundPushDoc;
  readonly supplyOrder: SupplyOrderDoc;
}

export function createOutboundPushes(
  db: Database,
  deps: {
    readonly recalls: Pick<RecallRepository, 'fail' | 'endUnpushed'>;
    /** Gives the goods back for an order that was cancelled, or left, meanwhile; null where it goes on. */
    readonly endWithOrder: (session: ClientSession, pkg: PackageDoc) => Promise<string[] | null>;
    readonly recipientOf: (row: SupplyOrderDoc) => Recipient | null;
  },
) {
  const { models, now } = db;
  const accounts = createAccountRepository(db);
  const billing = createBillingRepository(db);
  const notifications = createNotificationRepository(db);
  const operations = createOperationRepository(db);
  const stock = createStockRepository(db);

  const end = (outcome: OutboundEnd['outcome'], more: Partial<OutboundEnd> = {}): OutboundEnd => ({
    ...{ next: 'end', outcome, lanes: [], recallToEnd: null },
    ...more,
  });

  /** The attempt, while it waits; else how it ended: what answers a repeat. */
  async function waitingOf(
    session: ClientSession | null,
    id: string,
    attempt: number,
  ): Promise<Waiting | OutboundEnd['outcome']> {
    const pkg = found(await models.packages.findById(id).session(session).lean(), 'package');
    const supplyOrder = await models.supplyOrders.findById(supplyOrderIdOf(id, attempt)).session(session).lean();
    if (supplyOrder && pkg.outbound?.supplyOrder === supplyOrder._id)
      return { pkg, outbound: pkg.outbound, supplyOrder };
    if (!supplyOrder) return 'superseded';
    if (supplyOrder.outbound?.state === 'refused') return 'refused';
    return supplyOrder.outbound?.state === 'withdrawn' ? 'abandoned' : 'pushed';
  }

  /** The operator has it: the package is pushed, and the supply order the supplier's. */
  async function accept(
    session: ClientSession,
    { pkg, supplyOrder }: Waiting,
    reference: string | null,
  ): Promise<SupplyOrderDoc> {
    const at = now();
    // An open recall was asked for while the push was under way: it goes on with the supply order there is now.
    const set = { outbound: { state: 'accepted', reference, detail: null }, recall: pkg.recall ?? null, updatedAt: at };
    await models.supplyOrders.collection.updateOne({ _id: supplyOrder._id as never }, { $set: set }, { session });
    await models.packages.collection.updateOne(
      { _id: pkg._id as never },
      { $set: { ...pushedBy(supplyOrder), outbound: null, updatedAt: at } },
      { session },
    );
    await operations.end(session, orderPushId(pkg._id, pkg.attempt), 'done', {
      result: { supplyOrder: supplyOrder._id, package: pkg._id },
    });
    if (supplyOrder.auto?.open) tellDue(db, session, { kind: 'move', supplyOrder: supplyOrder._id });
    return { ...supplyOrder, ...set } as SupplyOrderDoc;
  }

  /** Stock, charge, quota and the distributor's allocation as they were; the supply order is cancelled. */
  async function reverse(session: ClientSession, { pkg, outbound, supplyOrder }: Waiting): Promise<string[]> {
    const { _id: id, attempt } = pkg;
    const { supplier, charge } = supplyOrder;
    const released = await stock.releaseLines(session, supplyOrder, {
      reason: 'push undone',
      document: id,
      key: `${id}/${attempt}/push-undone`,
    });
    await billing.book(session, {
      id: `push_reversal/${id}/${attempt}`,
      partnership: supplyOrder.partnership,
      type: 'push_reversal',
      amount: charge.total.amount,
      currency: supplyOrder.currency,
      package: id,
      document: supplyOrder._id,
      lines: charge.lines,
    });
    await accounts.giveQuotaBack(session, [supplier, pkg.account], supplyOrder.pushedAt);
    if (outbound.allocated && pkg.warehouse !== null) {
      const view = pkg.warehouse;
      // What is on hand there follows the supplier's, which its mirror lane tells.
      await changeMirrored(
        db,
        session,
        unitsBySku(pkg.lines).map(([sku, quantity]) => ({
          account: pkg.account,
          warehouse: view,
          sku,
          kind: 'allocate',
          reason: 'push undone',
          document: id,
          key: `${id}/${attempt}/push-undone-mirror/${sku}`,
          by: { allocated: quantity },
        })),
      );
    }
    const skus = [...new Set([...released, ...(await stock.allocateWaiting(session, supplier, released))])];
    return stock.markChanged(session, supplier, skus, `push undone ${id}`);
  }

  /** The second transaction. @param why the operator's words, or who gave the push up */
  async function undo(
    session: ClientSession,
    waiting: Waiting,
    state: 'refused' | 'withdrawn',
    why: string,
  ): Promise<OutboundEnd> {
    const { pkg, outbound, supplyOrder } = waiting;
    const at = now();
    const lanes = await reverse(session, waiting);
    await models.supplyOrders.collection.updateOne(
      { _id: supplyOrder._id as never },
      {
        $set: {
          ...{ status: 'cancelled', cancelledFrom: supplyOrder.status, updatedAt: at },
          outbound: { state, reference: null, detail: why },
          ...(supplyOrder.auto ? { 'auto.open': false } : {}),
        },
      },
      { session },
    );
    const code = state === 'refused' ? 'outbound_refused' : 'abandoned';
    const after = {
      status: 'push_failed' as const,
      allocated: outbound.allocated,
      parked: false,
      outbound: null,
      failure: {
        ...{ code, detail: why, retryable: state !== 'refused', hint: hintOf(code) },
        held: outbound.allocated ? OWN_ALLOCATION : 'nothing',
      },
      updatedAt: at,
    };
    await models.packages.collection.updateOne({ _id: pkg._id as never }, { $set: after }, { session });
    await operations.end(session, orderPushId(pkg._id, pkg.attempt), state === 'refused' ? 'failed' : 'abandoned', {
      error: { code, detail: why },
    });
    const ended = await deps.endWithOrder(session, { ...pkg, ...after });
    const recall = pkg.recall?.open ? pkg.recall : null;
    if (recall !== null) await deps.recalls.endUnpushed(session, { pkg, recall }, why);
    // Who asked for it back, or cancelled the order, knows.
    if (state === 'refused' || (recall === null && ended === null))
      await notifications.notify(session, {
        account: pkg.account,
        event: 'order_push_failed',
        occurrence: `${pkg._id}/${pkg.attempt}/${state === 'refused' ? 'outbound' : 'abandoned'}`,
        document: pkg._id,
        detail: why,
      });
    return end(state === 'refused' ? 'refused' : 'abandoned', {
      lanes: [...lanes, ...(ended ?? [])],
      recallToEnd: recall === null ? null : orderRecallId(pkg._id, recall.attempt),
    });
  }

  /** One transaction on an attempt that waits; a repeat answers with how it ended. */
  async function onWaiting<T>(
    id: string,
    attempt: number,
    work: (session: ClientSession, waiting: Waiting) => Promise<T>,
  ): Promise<T | OutboundEnd> {
    const { supplier } = found(await models.packages.findById(id, { supplier: 1 }).lean(), 'package');
    return db.transact(async (session) => {
      const waiting = await waitingOf(session, id, attempt);
      return typeof waiting === 'string' ? end(waiting) : work(session, waiting);
    }, `stock/${supplier}`);
  }

  return {
    /**
     * What is to be created now. That it is asked for is written first, so that whoever comes next asks the operator what there
     * is; once the push is being withdrawn, nothing new is created.
     */
    begin: (id: string, attempt: number): Promise<OutboundTurn> =>
      onWaiting<OutboundTurn>(id, attempt, async (session, { pkg, outbound, supplyOrder }) => {
        if (outbound.state === 'withdrawing') return { next: 'withdraw' };
        const set = { outbound: { ...outbound, asked: true } };
        if (!outbound.asked)
          await models.packages.collection.updateOne({ _id: pkg._id as never }, { $set: set }, { session });
        const { _id, warehouse, shipping, platform, carrier, lines } = supplyOrder;
        return {
          next: 'create',
          askedBefore: outbound.asked,
          order: {
            ...{ supplyOrder: _id, warehouse, shipping, platform, carrier: carrier ?? null },
            lines: lines.map(({ sku, quantity }) => ({ sku, quantity })),
            recipient: deps.recipientOf(supplyOrder),
          },
        };
      }),

    /** The operator's answer to the outbound order. What is taken while it is being withdrawn is cancelled there first. */
    settle: (id: string, attempt: number, answer: OutboundCreation): Promise<OutboundEnd | { next: 'withdraw' }> =>
      onWaiting<OutboundEnd | { next: 'withdraw' }>(id, attempt, async (session, waiting) => {
        if (!answer.created) return undo(session, waiting, 'refused', answer.detail);
        if (waiting.outbound.state === 'withdrawing') return { next: 'withdraw' };
        await accept(session, waiting, answer.reference);
        return end('pushed');
      }),

    /** What may be in the warehouse; null where nothing can be. */
    async there(id: string, attempt: number): Promise<{ supplyOrder: string; warehouse: string } | null> {
      const waiting = await waitingOf(null, id, attempt);
      if (typeof waiting === 'string' || !waiting.outbound.asked) return null;
      return { supplyOrder: waiting.outbound.supplyOrder, warehouse: waiting.outbound.warehouse };
    },

    /** The operator's answer to the cancellation: undone; or it keeps the order, and the push has gone through. */
    settleWithdrawal: (id: string, attempt: number, answer: OutboundAnswer): Promise<OutboundEnd> =>
      onWaiting(id, attempt, async (session, waiting) => {
        const { pkg, outbound } = waiting;
        if (answer.cancelled) return undo(session, waiting, 'withdrawn', outbound.why ?? 'It was given up');
        const supplyOrder = await accept(session, waiting, null);
        const recall = pkg.recall?.open ? pkg.recall : null;
        if (recall === null) return end('pushed');
        const pushed = { ...pkg, ...pushedBy(supplyOrder) };
        await deps.recalls.fail(
          session,
          { pkg: pushed, supplyOrder, recall },
          { code: 'recall_refused', detail: answer.detail },
        );
        return end('pushed', { recallToEnd: orderRecallId(pkg._id, recall.attempt) });
      }),
  };
}
