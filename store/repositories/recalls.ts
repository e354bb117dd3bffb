/**
 * Recalls: each asking is an attempt. What needs no outside party is decided in one transaction, guarded by the package and
 * the supply order that a shipment writes too, so that exactly one of the two wins. Contract: orders.md, Recall.
 */
import type { ClientSession } from 'mongoose';
import { type FailureCode, HubError } from '../../domain/failures';
import { orderPushId, orderRecallId } from '../../domain/process-ids';
import { decideRecall, packageStatusOf, type RecallDecision, unitsBySku } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { PackageDoc, RecallDoc, SupplyOrderDoc } from '../models/documents';
import { createBillingRepository } from './billing';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { createStockRepository } from './stock';

/** A recall that needs its workflow. */
export interface RecallToRun {
  readonly account: string;
  readonly package: string;
  readonly attempt: number;
}

/** What is to be done once the transaction is committed. */
export interface RecallAfter {
  readonly lanes: readonly string[];
  /** The workflow of a push that was abandoned: it may stand parked. */
  readonly pushToEnd: string | null;
}

/** How asking began: over already, or with a workflow to run. */
export type RecallStart = RecallAfter & {
  readonly attempt: number;
  readonly package: string;
  readonly workflowId: string;
  readonly over: boolean;
};

/** The next step of a recall's workflow. */
export type RecallStep = RecallAfter &
  (
    | { readonly next: 'end'; readonly outcome: 'recalled' | 'failed' }
    /** The supplier may answer for so long. */
    | { readonly next: 'answer'; readonly waitMs: number }
    | { readonly next: 'warehouse'; readonly supplyOrder: string; readonly warehouse: string }
  );

/** What the 3PL said to the cancellation of its outbound order. */
export type OutboundAnswer = { readonly cancelled: true } | { readonly cancelled: false; readonly detail: string };

export type RecallAnswer =
  | (RecallAfter & { readonly ok: true; readonly outcome: 'recalled' | 'failed' })
  | { readonly ok: false; readonly code: FailureCode; readonly detail: string };

const NOTHING_AFTER: RecallAfter = { lanes: [], pushToEnd: null };
const SETTLE = 'The buyer cancelled: settle it between you';

interface Scene {
  readonly pkg: PackageDoc;
  readonly supplyOrder: SupplyOrderDoc | null;
  readonly recall: RecallDoc;
}

/** Recalls as the intake of orders begins them, in its own transaction. */
export function createRecallBeginning(db: Database) {
  const { models, now } = db;
  const operations = createOperationRepository(db);
  const notifications = createNotificationRepository(db);

  async function supplyOrderOf(session: ClientSession, pkg: PackageDoc): Promise<SupplyOrderDoc | null> {
    if (pkg.supplyOrder === null) return null;
    return found(await models.supplyOrders.findById(pkg.supplyOrder).session(session).lean(), 'supply order');
  }

  /** What would become of a recall now. */
  async function decide(
    session: ClientSession,
    pkg: PackageDoc,
    supplyOrder: SupplyOrderDoc | null,
  ): Promise<RecallDecision> {
    const place =
      supplyOrder === null
        ? null
        : await models.warehouses.findById(supplyOrder.warehouse, { kind: 1 }).session(session).lean();
    return decideRecall({
      packageStatus: pkg.status,
      parked: pkg.parked,
      supplyOrder: supplyOrder?.status ?? null,
      outside: place?.kind === 'third_party',
    });
  }

  /** Writes the recall on both documents. */
  async function write(
    session: ClientSession,
    { pkg, supplyOrder }: Pick<Scene, 'pkg' | 'supplyOrder'>,
    recall: RecallDoc,
    set: Partial<PackageDoc> = {},
  ): Promise<void> {
    await models.packages.collection.updateOne(
      { _id: pkg._id } as never,
      { $set: { recall, updatedAt: now(), ...set } },
      { session },
    );
    if (supplyOrder !== null)
      await models.supplyOrders.collection.updateOne(
        { _id: supplyOrder._id } as never,
        { $set: { recall } },
        { session },
      );
  }

  /** Lists a new attempt. The caller has seen that none is open. */
  async function list(
    session: ClientSession,
    { pkg, supplyOrder }: Pick<Scene, 'pkg' | 'supplyOrder'>,
    by: RecallDoc['by'],
    command: string | null,
  ): Promise<RecallDoc> {
    const attempt = (pkg.recall?.attempt ?? 0) + 1;
    const recall: RecallDoc = {
      attempt,
      state: 'running',
      open: true,
      by,
      command,
      answer: null,
      askedAt: now(),
      answerBy: null,
      endedAt: null,
      code: null,
      detail: null,
    };
    // A push that is under way stays `pushing`: whether it succeeds is not decided yet.
    await write(session, { pkg, supplyOrder }, recall, supplyOrder === null ? {} : { status: 'recalling' });
    await operations.begin(session, {
      workflowId: orderRecallId(pkg._id, attempt),
      kind: 'order_recall',
      accounts: [pkg.account],
      document: pkg._id,
    });
    return recall;
  }

  /** Both sides are told, once each. */
  async function tellBoth(
    session: ClientSession,
    pkg: PackageDoc,
    supplyOrder: SupplyOrderDoc | null,
    notice: { event: 'recall_confirmed' | 'recall_refused'; occurrence: string; detail: string },
  ): Promise<void> {
    await notifications.notify(session, { ...notice, account: pkg.account, document: pkg._id });
    if (supplyOrder !== null)
      await notifications.notify(session, { ...notice, account: supplyOrder.supplier, document: supplyOrder._id });
  }

  return {
    supplyOrderOf,
    decide,
    write,
    list,
    tellBoth,

    /**
     * The buyer cancelled: what the supplier may still give back is asked back. Where it is too late both sides are told to
     * settle it. @returns the recall to run after the commit
     */
    async beginForBuyer(session: ClientSession, pkg: PackageDoc): Promise<RecallToRun | null> {
      if (pkg.recall?.open) return null;
      const supplyOrder = await supplyOrderOf(session, pkg);
      const decision = await decide(session, pkg, supplyOrder);
      if (decision.kind !== 'refused') {
        const { attempt } = await list(session, { pkg, supplyOrder }, 'buyer', null);
        return { account: pkg.account, package: pkg._id, attempt };
      }
      if (supplyOrder !== null && supplyOrder.status !== 'cancelled')
        await tellBoth(session, pkg, supplyOrder, {
          event: 'recall_refused',
          occurrence: `${pkg._id}/buyer`,
          detail: `${decision.detail}. ${SETTLE}`,
        });
      return null;
    },
  };
}

export type RecallRepository = ReturnType<typeof createRecallRepository>;

/**
 * @param cancelWithOrder gives the goods of a cancelled order's package back; null where the order is not cancelled
 */
export function createRecallRepository(
  db: Database,
  cancelWithOrder: (session: ClientSession, pkg: PackageDoc) => Promise<string[] | null>,
) {
  const { models, now } = db;
  const beginning = createRecallBeginning(db);
  const billing = createBillingRepository(db);
  const notifications = createNotificationRepository(db);
  const operations = createOperationRepository(db);
  const stock = createStockRepository(db);

  const ended = (recall: RecallDoc, state: 'recalled' | 'failed', more: Partial<RecallDoc>): RecallDoc => ({
    ...recall,
    ...more,
    state,
    open: false,
    endedAt: now(),
  });

  /** Allocation released, charge given back, supply order cancelled, both told: all or nothing. */
  async function succeed(session: ClientSession, scene: Scene, answer: string | null): Promise<RecallAfter> {
    const { pkg, recall } = scene;
    const supplyOrder = found(scene.supplyOrder, 'supply order');
    const { supplier, warehouse, charge } = supplyOrder;
    const units = unitsBySku(supplyOrder.lines);
    for (const [sku, quantity] of units)
      await stock.change(session, {
        account: supplier,
        warehouse,
        sku,
        kind: 'release',
        reason: 'order recalled',
        document: pkg._id,
        key: `${supplyOrder._id}/recall/${sku}`,
        by: { allocated: -quantity },
      });
    const refund = await billing.book(session, {
      id: `recall/${pkg._id}/${recall.attempt}`,
      partnership: supplyOrder.partnership,
      type: 'order_recall',
      amount: charge.total.amount,
      currency: supplyOrder.currency,
      package: pkg._id,
      document: supplyOrder._id,
      lines: charge.lines,
    });
    await models.supplyOrders.collection.updateOne(
      { _id: supplyOrder._id } as never,
      { $set: { status: 'cancelled', updatedAt: now() } },
      { session },
    );
    await beginning.write(session, scene, ended(recall, 'recalled', { answer, detail: 'The charge was given back' }), {
      status: 'recalled',
    });
    await operations.end(session, orderRecallId(pkg._id, recall.attempt), 'done', {
      result: { package: pkg._id, supplyOrder: supplyOrder._id, refund: refund._id },
    });
    await beginning.tellBoth(session, pkg, supplyOrder, {
      event: 'recall_confirmed',
      occurrence: `${pkg._id}/${recall.attempt}`,
      detail: `${pkg._id} was recalled`,
    });
    const skus = units.map(([sku]) => sku);
    return { lanes: await stock.markChanged(session, supplier, skus, `recall ${pkg._id}`), pushToEnd: null };
  }

  /** Nothing changes but that both sides see why. */
  async function fail(
    session: ClientSession,
    { pkg, supplyOrder, recall }: Scene,
    why: { code: FailureCode; detail: string; answer?: string | null },
  ): Promise<void> {
    const detail = recall.by === 'buyer' ? `${why.detail}. ${SETTLE}` : why.detail;
    await beginning.write(
      session,
      { pkg, supplyOrder },
      ended(recall, 'failed', { answer: why.answer ?? null, code: why.code, detail }),
      supplyOrder === null ? {} : { status: packageStatusOf(supplyOrder.status) },
    );
    await operations.end(session, orderRecallId(pkg._id, recall.attempt), 'failed', {
      error: { code: why.code, detail },
    });
    await beginning.tellBoth(session, pkg, supplyOrder, {
      event: 'recall_refused',
      occurrence: `${pkg._id}/${recall.attempt}`,
      detail,
    });
  }

  /** The push that is under way or parked ends here, undone: it finds its attempt over. */
  async function abandonPush(session: ClientSession, { pkg, recall }: Scene): Promise<RecallAfter> {
    const pushToEnd = orderPushId(pkg._id, pkg.attempt);
    const detail = 'Recalled before the push went through: nothing was charged';
    await operations.end(session, pushToEnd, 'abandoned', { error: { code: 'abandoned', detail } });
    const lanes = await cancelWithOrder(session, pkg);
    const failure = {
      code: 'abandoned',
      detail,
      held: 'the allocation in the distributor’s supplier warehouse',
      retryable: true,
    };
    await beginning.write(
      session,
      { pkg, supplyOrder: null },
      ended(recall, 'recalled', { detail }),
      lanes === null ? { status: 'push_failed', parked: false, failure } : {},
    );
    await operations.end(session, orderRecallId(pkg._id, recall.attempt), 'done', {
      result: { package: pkg._id, abandoned: true },
    });
    return { lanes: lanes ?? [], pushToEnd };
  }

  async function ask(session: ClientSession, scene: Scene, answerMs: number): Promise<RecallStep> {
    const { pkg, recall } = scene;
    const supplyOrder = found(scene.supplyOrder, 'supply order');
    const answerBy = recall.answerBy ?? new Date(now().getTime() + answerMs);
    const waitMs = Math.max(1, answerBy.getTime() - now().getTime());
    if (recall.state === 'asked') return { next: 'answer', waitMs, ...NOTHING_AFTER };
    await beginning.write(session, scene, { ...recall, state: 'asked', answerBy }, { status: 'recalling' });
    await notifications.notify(session, {
      account: supplyOrder.supplier,
      event: 'recall_asked',
      occurrence: `${pkg._id}/${recall.attempt}`,
      document: supplyOrder._id,
      detail: `Confirm or refuse until ${answerBy.toISOString()}`,
    });
    return { next: 'answer', waitMs, ...NOTHING_AFTER };
  }

  async function sceneOf(
    session: ClientSession,
    id: string,
  ): Promise<Omit<Scene, 'recall'> & { recall: RecallDoc | null }> {
    const pkg = found(await models.packages.findById(id).session(session).lean(), 'package');
    return { pkg, supplyOrder: await beginning.supplyOrderOf(session, pkg), recall: pkg.recall ?? null };
  }

  const end = (outcome: 'recalled' | 'failed', after: RecallAfter = NOTHING_AFTER): RecallStep => ({
    next: 'end',
    outcome,
    ...after,
  });

  /** What the table says now, done as far as nobody outside is needed. */
  async function step(
    session: ClientSession,
    scene: Scene,
    { answerMs, outbound }: { answerMs: number; outbound?: OutboundAnswer },
  ): Promise<RecallStep> {
    const { pkg, supplyOrder, recall } = scene;
    if (recall.state === 'warehouse' && outbound) {
      if (outbound.cancelled) return end('recalled', await succeed(session, scene, null));
      await fail(session, scene, { code: 'recall_refused', detail: outbound.detail });
      return end('failed');
    }
    const decision = await beginning.decide(session, pkg, supplyOrder);
    switch (decision.kind) {
      case 'refused':
        if (supplyOrder === null && pkg.status === 'cancelled') {
          // The push ended first, and gave the goods of the cancelled order back.
          await beginning.write(session, scene, ended(recall, 'recalled', { detail: 'It was cancelled unpushed' }));
          await operations.end(session, orderRecallId(pkg._id, recall.attempt), 'done', {
            result: { package: pkg._id, abandoned: true },
          });
          return end('recalled');
        }
        await fail(session, scene, decision);
        return end('failed');
      case 'abandon_push':
        return end('recalled', await abandonPush(session, scene));
      case 'succeed':
        return end('recalled', await succeed(session, scene, null));
      case 'ask_supplier':
        return ask(session, scene, answerMs);
      case 'ask_warehouse': {
        const { _id, warehouse } = found(supplyOrder, 'supply order');
        if (recall.state !== 'warehouse')
          await beginning.write(session, scene, { ...recall, state: 'warehouse' }, { status: 'recalling' });
        return { next: 'warehouse', supplyOrder: _id, warehouse, ...NOTHING_AFTER };
      }
    }
  }

  return {
    fail,

    /**
     * The distributor asks for a package back. What the table settles at once is settled here; else the caller starts the
     * workflow (the sweep does where it can't). An open recall answers with itself. 409 `recall_not_possible`, `not_pushed`.
     */
    async recall(account: string, id: string, command: string, answerMs: number): Promise<RecallStart> {
      const { supplier } = found(
        await models.packages.findOne({ _id: id, account }, { supplier: 1 }).lean(),
        'package',
      );
      return db.transact(async (session): Promise<RecallStart> => {
        const { pkg, supplyOrder, recall: last } = await sceneOf(session, id);
        const startOf = (recall: RecallDoc, over: boolean, after: RecallAfter = NOTHING_AFTER): RecallStart => ({
          attempt: recall.attempt,
          package: id,
          workflowId: orderRecallId(id, recall.attempt),
          over,
          ...after,
        });
        if (last?.open || (last && last.command === command)) return startOf(last, !last.open);
        if (supplier === null)
          throw new HubError('not_pushed', 'The package holds the account’s own goods: nobody was given it');
        const decision = await beginning.decide(session, pkg, supplyOrder);
        if (decision.kind === 'refused')
          throw new HubError(decision.code, decision.detail, { members: { package: id } });
        const recall = await beginning.list(session, { pkg, supplyOrder }, 'distributor', command);
        const first = await step(session, { pkg, supplyOrder, recall }, { answerMs });
        return startOf(recall, first.next === 'end', first);
      }, `stock/${supplier}`);
    },

    /** Runs the next step of an attempt. Safe to repeat. @param outbound the 3PL's answer, once it gave one */
    async advance(
      id: string,
      attempt: number,
      options: { answerMs: number; outbound?: OutboundAnswer },
    ): Promise<RecallStep> {
      const { supplier } = found(await models.packages.findById(id, { supplier: 1 }).lean(), 'package');
      return db.transact(async (session): Promise<RecallStep> => {
        const { recall, ...scene } = await sceneOf(session, id);
        if (recall === null || recall.attempt !== attempt || !recall.open)
          return end(recall?.attempt === attempt && recall.state === 'recalled' ? 'recalled' : 'failed');
        return step(session, { ...scene, recall }, options);
      }, `stock/${supplier}`);
    },

    /** The supplier's answer; `none` is that of the clock. A refusal is a value: it answers the update of a workflow. */
    async answer(
      id: string,
      attempt: number,
      answer: 'confirm' | 'refuse' | 'none',
      given: { command: string | null; reason: string | null },
    ): Promise<RecallAnswer> {
      const { supplier } = found(await models.packages.findById(id, { supplier: 1 }).lean(), 'package');
      return db.transact(async (session): Promise<RecallAnswer> => {
        const { recall, ...scene } = await sceneOf(session, id);
        const refused = (detail: string): RecallAnswer => ({ ok: false, code: 'invalid_transition', detail });
        if (recall === null || recall.attempt !== attempt) return refused('There is no such recall');
        if (!recall.open) {
          const outcome = recall.state === 'recalled' ? 'recalled' : 'failed';
          const isRepeat = answer === 'none' || (given.command !== null && recall.answer === given.command);
          return isRepeat ? { ok: true, outcome, ...NOTHING_AFTER } : refused(`The recall is over: ${recall.detail}`);
        }
        if (recall.state !== 'asked') return refused('The supplier is not asked');
        const asked: Scene = { ...scene, recall };
        if (answer === 'confirm')
          return { ok: true, outcome: 'recalled', ...(await succeed(session, asked, given.command)) };
        const detail =
          answer === 'none'
            ? 'The supplier did not answer in time'
            : `The supplier refused${given.reason === null ? '' : `: ${given.reason}`}`;
        await fail(session, asked, { code: 'recall_refused', detail, answer: given.command });
        return { ok: true, outcome: 'failed', ...NOTHING_AFTER };
      }, `stock/${supplier}`);
    },

    /** Recalls that should have a running workflow. */
    async open(before: Date, limit: number): Promise<RecallToRun[]> {
      const rows = await models.packages
        .find({ 'recall.open': true, updatedAt: { $lt: before } } as never, { account: 1, recall: 1 })
        .limit(limit)
        .lean();
      return rows.map(({ _id, account, recall }) => ({ account, package: _id, attempt: recall?.attempt ?? 0 }));
    },
  };
}
