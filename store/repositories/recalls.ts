/**
 * Recalls: each asking is an attempt. What needs no outside party is decided in one transaction, guarded by the package and
 * the supply order that a shipment writes too, so that exactly one of the two wins. Contract: orders.md, Recall.
 */
import type { ClientSession } from 'mongoose';
import { type FailureCode, HubError } from '../../domain/failures';
import { orderPushId, orderRecallId } from '../../domain/process-ids';
import { decideRecall, packageStatusOf, type RecallDecision } from '../../domain/supply-orders';
import { type Database, found } from '../database';
import type { PackageDoc, RecallDoc, SupplyOrderDoc } from '../models/documents';
import { createBillingRepository } from './billing';
import { createCommandLog } from './commands';
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
    /** The push that is under way takes its outbound order back first, and ends this. */
    | { readonly next: 'push' }
  );

/** What the 3PL said to the cancellation of its outbound order. */
export type OutboundAnswer = { readonly cancelled: true } | { readonly cancelled: false; readonly detail: string };

export type RecallAnswer =
  | (RecallAfter & { readonly ok: true; readonly outcome: 'recalled' | 'failed' })
  | { readonly ok: false; readonly code: FailureCode; readonly detail: string };

/** What an attempt that did not come about leaves as it was. */
export const OWN_ALLOCATION = 'the allocation in the distributor’s supplier warehouse';
const NOTHING_AFTER: RecallAfter = { lanes: [], pushToEnd: null };
const SETTLE = 'The buyer cancelled: settle it between you';

interface Scene {
  readonly pkg: PackageDoc;
  readonly supplyOrder: SupplyOrderDoc | null;
  readonly recall: RecallDoc;
}

/**
 * A push that waits for the operator of a warehouse is not to go on: from here on nothing new is created there. Its workflow asks
 * for the cancellation of what there is, then undoes the rest. A repeat keeps the first reason.
 */
export async function beginWithdrawal(
  db: Database,
  session: ClientSession,
  { _id, attempt, account, outbound }: PackageDoc,
  why: string,
): Promise<void> {
  if (!outbound || outbound.state === 'withdrawing') return;
  const set = { status: 'pushing', parked: false, failure: null, outbound: { ...outbound, state: 'withdrawing', why } };
  await db.models.packages.collection.updateOne(
    { _id: _id as never },
    { $set: { ...set, updatedAt: db.now() } },
    { session },
  );
  await createOperationRepository(db).begin(session, {
    workflowId: orderPushId(_id, attempt),
    kind: 'order_push',
    accounts: [account],
    document: _id,
  });
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
  function decide(pkg: PackageDoc, supplyOrder: SupplyOrderDoc | null): RecallDecision {
    return decideRecall({
      packageStatus: pkg.status,
      parked: pkg.parked,
      supplyOrder: supplyOrder?.status ?? null,
      // What was pushed before its warehouse was a 3PL's has no outbound order there: nobody is to be asked but the supplier.
      outside: Boolean(supplyOrder?.outbound),
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
     * settle it, once for each `asking`. @returns the recall to run after the commit
     */
    async beginForBuyer(
      session: ClientSession,
      pkg: PackageDoc,
      by: RecallDoc['by'] = 'buyer',
      asking = 'buyer',
    ): Promise<RecallToRun | null> {
      if (pkg.recall?.open) return null;
      const supplyOrder = await supplyOrderOf(session, pkg);
      const decision = decide(pkg, supplyOrder);
      if (decision.kind !== 'refused') {
        const { attempt } = await list(session, { pkg, supplyOrder }, by, null);
        return { account: pkg.account, package: pkg._id, attempt };
      }
      if (supplyOrder !== null && supplyOrder.status !== 'cancelled')
        await tellBoth(session, pkg, supplyOrder, {
          event: 'recall_refused',
          occurrence: `${pkg._id}/${asking}`,
          detail: by === 'buyer' ? `${decision.detail}. ${SETTLE}` : decision.detail,
        });
      return null;
    },
  };
}

export type RecallRepository = ReturnType<typeof createRecallRepository>;

/**
 * @param endWithOrder gives the goods back for an order that was cancelled, or left, meanwhile; null where it goes on
 */
export function createRecallRepository(
  db: Database,
  endWithOrder: (session: ClientSession, pkg: PackageDoc) => Promise<string[] | null>,
) {
  const { models, now } = db;
  const beginning = createRecallBeginning(db);
  const commands = createCommandLog(db);
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
    const { supplier, charge } = supplyOrder;
    const released = await stock.releaseLines(session, supplyOrder, {
      reason: 'order recalled',
      document: pkg._id,
      key: `${supplyOrder._id}/recall`,
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
      { $set: { status: 'cancelled', cancelledFrom: supplyOrder.status, updatedAt: now() } },
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
    const skus = [...new Set([...released, ...(await stock.allocateWaiting(session, supplier, released))])];
    return { lanes: await stock.markChanged(session, supplier, skus, `recall ${pkg._id}`), pushToEnd: null };
  }

  /** Nothing changes but that both sides see why. */
  async function fail(
    session: ClientSession,
    { pkg, supplyOrder, recall }: Scene,
    why: { code: FailureCode; detail: string; answer?: string | null },
  ): Promise<void> {
    // Whoever asked: what the buyer wants by now counts.
    const order = await models.orders.findById(pkg.order, { state: 1 }).session(session).lean();
    const isBuyers = order?.state === 'cancelled' || order?.state === 'cancel_requested';
    const detail = isBuyers ? `${why.detail}. ${SETTLE}` : why.detail;
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
    const lanes = await endWithOrder(session, pkg);
    const failure = {
      ...{ code: 'abandoned', detail, held: OWN_ALLOCATION, retryable: true },
      hint: 'Push the order again, or cancel it',
    };
    await endUnpushed(
      session,
      { pkg, recall },
      detail,
      lanes === null ? { status: 'push_failed', parked: false, failure } : {},
    );
    return { lanes: lanes ?? [], pushToEnd };
  }

  /** There is nothing at the supplier’s any more: that is what was asked for. */
  async function endUnpushed(
    session: ClientSession,
    { pkg, recall }: Pick<Scene, 'pkg' | 'recall'>,
    detail: string,
    set: Partial<PackageDoc> = {},
  ): Promise<void> {
    await beginning.write(session, { pkg, supplyOrder: null }, ended(recall, 'recalled', { detail }), set);
    await operations.end(session, orderRecallId(pkg._id, recall.attempt), 'done', {
      result: { package: pkg._id, abandoned: true },
    });
  }

  /** The push's own workflow speaks with the operator of the warehouse, so that nothing it began there is left behind. */
  async function withdrawPush(session: ClientSession, { pkg }: Scene): Promise<RecallAfter> {
    await beginWithdrawal(db, session, pkg, 'Recalled before the push went through: nothing was charged');
    return { lanes: [], pushToEnd: orderPushId(pkg._id, pkg.attempt) };
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
    const decision = beginning.decide(pkg, supplyOrder);
    switch (decision.kind) {
      case 'refused':
        if (supplyOrder === null && pkg.status === 'cancelled') {
          // The push ended first, and gave the goods of the cancelled order back.
          await endUnpushed(session, scene, 'It was cancelled unpushed');
          return end('recalled');
        }
        await fail(session, scene, decision);
        return end('failed');
      case 'abandon_push':
        if (pkg.outbound) return { next: 'push', ...(await withdrawPush(session, scene)) };
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
    endUnpushed,

    /**
     * The distributor asks for a package back. What the table settles at once is settled here; else the caller starts the
     * workflow (the sweep does where it can't). An open recall answers with itself. 409 `recall_not_possible`, `not_pushed`.
     */
    async recall(account: string, id: string, command: string, answerMs: number): Promise<RecallStart> {
      const { supplier } = found(
        await models.packages.findById(id).lean(),
        'package',
        (row) => row.account === account,
      );
      return db.transact(async (session): Promise<RecallStart> => {
        const { pkg, supplyOrder, recall: last } = await sceneOf(session, id);
        const startOf = (attempt: number, over: boolean, after: RecallAfter = NOTHING_AFTER): RecallStart => ({
          attempt,
          package: id,
          workflowId: orderRecallId(id, attempt),
          over,
          ...after,
        });
        const done = await commands.resultOf(session, 'recall', id, command);
        if (done !== null) return startOf(Number(done), !(last?.open && last.attempt === Number(done)));
        if (last?.open) {
          await commands.note(session, 'recall', id, { command, result: String(last.attempt) });
          return startOf(last.attempt, false);
        }
        if (supplier === null)
          throw new HubError('not_pushed', 'The package holds the account’s own goods: nobody was given it');
        const decision = beginning.decide(pkg, supplyOrder);
        if (decision.kind === 'refused')
          throw new HubError(decision.code, decision.detail, { members: { package: id } });
        const recall = await beginning.list(session, { pkg, supplyOrder }, 'distributor', command);
        await commands.note(session, 'recall', id, { command, result: String(recall.attempt) });
        const first = await step(session, { pkg, supplyOrder, recall }, { answerMs });
        return startOf(recall.attempt, first.next === 'end', first);
      }, `stock/${supplier}`);
    },

    /** Whether this command answered a recall of the package, this one or one before. */
    wasAnswered: async (id: string, command: string): Promise<boolean> =>
      (await commands.resultOf(null, 'recall-answer', id, command)) !== null,

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
        if (given.command !== null)
          await commands.note(session, 'recall-answer', id, { command: given.command, result: answer });
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
