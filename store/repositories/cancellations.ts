/**
 * Cancelling an order: what suppliers have of it is recalled first, then its platform is told, then what is held is released.
 * Contract: orders.md, Recall; platforms.md.
 */
import type { ClientSession } from 'mongoose';
import type { CancellationEnd, CancelOutcome, CancelReason } from '../../domain/cancellations';
import { type FailureCode, HubError } from '../../domain/failures';
import { hasLeft } from '../../domain/orders';
import { orderCancelId } from '../../domain/process-ids';
import { type Database, found } from '../database';
import type { CancellationDoc, OrderDoc, PackageDoc } from '../models/documents';
import { createCommandLog } from './commands';
import { createOperationRepository } from './operations';
import type { createOrderIntake } from './order-intake';
import { createRecallBeginning, type RecallToRun } from './recalls';
import { createReopening } from './reopened-packages';

/** A cancellation that needs its workflow. */
export interface CancellationToRun {
  readonly account: string;
  readonly order: string;
  readonly attempt: number;
}

/** What is to be done once the transaction is committed. */
interface CancellationAfter {
  readonly lanes: readonly string[];
  readonly recalls: readonly RecallToRun[];
}

export type CancellationStep = CancellationAfter &
  (
    | { readonly next: 'end'; readonly outcome: CancellationEnd }
    /** Recalls are under way. */
    | { readonly next: 'wait' }
    | { readonly next: 'tell' }
  );

export interface CancellationToTell {
  readonly store: string;
  readonly platformOrder: string;
  readonly answer: NonNullable<CancellationDoc['answer']>;
  readonly reason: CancelReason;
  readonly by: CancellationDoc['by'];
  /** The lines that are asked back; null where it is the order. */
  readonly lines: readonly string[] | null;
  /** The version of the order that is answered. */
  readonly version: number;
}

const NOTHING_AFTER: CancellationAfter = { lanes: [], recalls: [] };

/**
 * The start of a cancellation, in the caller's transaction; the order's document is the caller's to write. One of single lines
 * is told to the platform at once: the caller saw that nobody else has them.
 */
export async function beginCancellation(
  db: Database,
  session: ClientSession,
  order: Pick<OrderDoc, '_id' | 'account' | 'cancellation'>,
  asked: { by: CancellationDoc['by']; reason: CancelReason; lines?: readonly string[] },
): Promise<CancellationDoc> {
  const attempt = (order.cancellation?.attempt ?? 0) + 1;
  await createOperationRepository(db).begin(session, {
    workflowId: orderCancelId(order._id, attempt),
    kind: 'order_cancel',
    accounts: [order.account],
    document: order._id,
  });
  return {
    attempt,
    ...asked,
    lines: asked.lines ? [...asked.lines] : null,
    state: asked.lines ? 'telling' : 'recalling',
    open: true,
    answer: asked.lines ? 'accept' : null,
    recalls: [],
    wish: null,
    askedAt: db.now(),
    endedAt: null,
    code: null,
    detail: null,
  };
}

export function createCancellationRepository(
  db: Database,
  intake: Pick<ReturnType<typeof createOrderIntake>, 'cancelPackages' | 'askAgain' | 'dropLinesOf'>,
) {
  const { models, now } = db;
  const commands = createCommandLog(db);
  const operations = createOperationRepository(db);
  const recalls = createRecallBeginning(db);
  const reopening = createReopening(db);

  const write = (session: ClientSession, order: OrderDoc, cancellation: CancellationDoc, set: Partial<OrderDoc> = {}) =>
    models.orders.collection.updateOne({ _id: order._id } as never, { $set: { cancellation, ...set } }, { session });

  /** One that does not end as `cancelled` leaves the order alive: what was recalled for it can be pushed again. @returns lanes to wake */
  async function end(
    session: ClientSession,
    order: OrderDoc,
    cancellation: CancellationDoc,
    outcome: CancellationEnd,
    more: {
      code?: FailureCode;
      detail?: string;
      set?: Partial<OrderDoc>;
      abandoned?: boolean;
      /** The version whose wish was answered there. */
      wish?: number;
    } = {},
  ): Promise<string[]> {
    // After the answer for some lines a wish for the order, which may stand there meanwhile, is another.
    const { code = null, detail = null, wish = cancellation.lines ? 0 : null } = more;
    const ended: CancellationDoc = { ...cancellation, state: outcome, open: false, wish, endedAt: now(), code, detail };
    await write(session, order, ended, more.set);
    const status = more.abandoned
      ? 'abandoned'
      : outcome === 'cancelled' || outcome === 'withdrawn'
        ? 'done'
        : 'failed';
    await operations.end(session, orderCancelId(order._id, cancellation.attempt), status, {
      ...(status === 'done' ? { result: { order: order._id, outcome } } : {}),
      ...(code === null ? {} : { error: { code, detail: detail ?? '' } }),
    });
    return outcome === 'cancelled' ? [] : reopening.reopen(session, order, cancellation);
  }

  /** The order is cancelled: what it holds is given back. */
  async function cancel(
    session: ClientSession,
    order: OrderDoc,
    cancellation: CancellationDoc,
  ): Promise<CancellationAfter> {
    await end(session, order, cancellation, 'cancelled', { set: { state: 'cancelled', platformState: 'cancelled' } });
    const { lanes, begun } = await intake.cancelPackages(session, order);
    return { lanes, recalls: begun };
  }

  /** Looks at one package. @returns the recall it waits for, why it can't be had back, or neither where nothing is in the way */
  async function lookAt(
    session: ClientSession,
    pkg: PackageDoc,
    cancellation: CancellationDoc,
    by: 'buyer' | 'distributor',
  ): Promise<{ recall?: RecallToRun; refusal?: string }> {
    if (pkg.status === 'cancelled' || pkg.status === 'recalled') return {};
    const isFree =
      pkg.supplyOrder === null && !hasLeft(pkg.status) && pkg.status !== 'pushing' && !pkg.parked && !pkg.recall?.open;
    if (isFree) {
      // Written, so that a push which begins meanwhile without having seen this conflicts with it.
      await models.packages.updateOne({ _id: pkg._id }, { $set: { updatedAt: now() } }, { session });
      return {};
    }
    const asked = cancellation.recalls.find((one) => one.package === pkg._id);
    const { account } = pkg;
    if (pkg.recall?.open) return { recall: { account, package: pkg._id, attempt: pkg.recall.attempt } };
    if (asked && asked.attempt === pkg.recall?.attempt) return { refusal: pkg.recall.detail ?? 'The recall failed' };
    // Own goods that left: nobody else is to be told.
    if (pkg.supplyOrder === null && hasLeft(pkg.status)) return { refusal: `${pkg._id} has left` };
    const begun = await recalls.beginForBuyer(session, pkg, by, `cancellation-${cancellation.attempt}`);
    if (begun !== null) return { recall: begun };
    return { refusal: hasLeft(pkg.status) ? `${pkg._id} has left` : `${pkg._id} can not be recalled` };
  }

  async function advanceOnce(session: ClientSession, id: string, attempt: number): Promise<CancellationStep> {
    const order = found(await models.orders.findById(id).session(session).lean(), 'order');
    const cancellation = order.cancellation ?? null;
    if (cancellation === null || cancellation.attempt !== attempt || !cancellation.open) {
      const outcome = cancellation?.attempt === attempt ? (cancellation.state as CancellationEnd) : 'failed';
      return { next: 'end', outcome, ...NOTHING_AFTER };
    }
    if (cancellation.state === 'telling') return { next: 'tell', ...NOTHING_AFTER };
    const packages = await models.packages.find({ order: id }).sort({ _id: 1 }).session(session).lean();
    // A wish that came while the seller's own cancellation is open is answered by its end.
    const isWished = cancellation.by === 'buyer' || order.state === 'cancel_requested';
    const running: RecallToRun[] = [];
    const refusals: string[] = [];
    for (const pkg of packages) {
      const { recall, refusal } = await lookAt(session, pkg, cancellation, isWished ? 'buyer' : 'distributor');
      if (recall) running.push(recall);
      if (refusal !== undefined) refusals.push(refusal);
    }
    const others = cancellation.recalls.filter((one) => !running.some((recall) => recall.package === one.package));
    const asked = [...others, ...running.map((one) => ({ package: one.package, attempt: one.attempt }))];
    const after: CancellationDoc = { ...cancellation, recalls: asked };
    if (running.length > 0) {
      await write(session, order, after);
      return { next: 'wait', lanes: [], recalls: running };
    }
    const detail = refusals.join('; ');
    if (refusals.length > 0 && !isWished) {
      const lanes = await end(session, order, after, 'failed', { code: 'cancel_not_possible', detail });
      return { next: 'end', outcome: 'failed', lanes, recalls: [] };
    }
    // Cancelled there meanwhile, or an order that no platform knows: there is nobody to tell.
    if (order.state === 'cancelled' || order.store === 'api')
      return { next: 'end', outcome: 'cancelled', ...(await cancel(session, order, after)) };
    const yes = isWished ? ('accept' as const) : ('cancel' as const);
    const answer = refusals.length > 0 ? ('reject' as const) : yes;
    const refusal = detail === '' ? null : detail;
    await write(session, order, { ...after, state: 'telling', answer, refusal, detail: refusal });
    return { next: 'tell', ...NOTHING_AFTER };
  }

  /** Runs `work` on an order whose cancellation is still to be told to its platform. */
  async function whileTelling<T>(
    { order: id, attempt }: { order: string; attempt: number },
    work: (session: ClientSession, order: OrderDoc, cancellation: CancellationDoc) => Promise<T>,
  ): Promise<T | null> {
    const { account } = found(await models.orders.findById(id, { account: 1 }).lean(), 'order');
    return db.transact(async (session) => {
      const order = found(await models.orders.findById(id).session(session).lean(), 'order');
      const { cancellation } = order;
      if (!cancellation?.open || cancellation.attempt !== attempt) return null;
      return work(session, order, cancellation);
    }, `stock/${account}`);
  }

  return {
    /**
     * The seller cancels. An open cancellation answers with itself. 409 `cancel_not_possible` where it is too late; the caller
     * starts the workflow (the sweep does where it can't).
     */
    async begin(
      account: string,
      id: string,
      asked: { reason: CancelReason; command: string },
    ): Promise<CancellationToRun & { over: boolean }> {
      return db.transact(async (session) => {
        const order = found(
          await models.orders.findById(id).session(session).lean(),
          'order',
          (row) => row.account === account,
        );
        const there = order.cancellation ?? null;
        const refuse = (detail: string, packages: readonly string[] = []): never => {
          throw new HubError('cancel_not_possible', detail, {
            members: { currentStatus: order.state, ...(packages.length === 0 ? {} : { packages }) },
          });
        };
        const done = await commands.resultOf(session, 'cancel', id, asked.command);
        if (done !== null || (there?.open && !there.lines)) {
          const attempt = done === null ? (there?.attempt ?? 0) : Number(done);
          if (done === null) await commands.note(session, 'cancel', id, { ...asked, result: String(attempt) });
          return { account, order: id, attempt, over: !(there?.open && there.attempt === attempt) };
        }
        if (there?.lines && there.open)
          refuse(`The buyer’s wish for lines of it is being answered: ask again once attempt ${there.attempt} is over`);
        if (order.state === 'cancelled') refuse('The order is cancelled already');
        if (hasLeft(order.state)) refuse(`The platform says that the order is ${order.state}`);
        const packages = await models.packages.find({ order: id }, { status: 1 }).session(session).lean();
        const gone = packages.filter(({ status }) => hasLeft(status)).map(({ _id }) => _id);
        if (gone.length > 0) refuse(`Packages of the order have left: ${gone.join(', ')}`, gone);
        const cancellation = await beginCancellation(db, session, order, { by: 'seller', reason: asked.reason });
        await write(session, order, cancellation);
        await commands.note(session, 'cancel', id, { ...asked, result: String(cancellation.attempt) });
        return { account, order: id, attempt: cancellation.attempt, over: false };
      });
    },

    /** The next step. Safe to repeat. */
    async advance(id: string, attempt: number): Promise<CancellationStep> {
      const { account } = found(await models.orders.findById(id, { account: 1 }).lean(), 'order');
      return db.transact((session) => advanceOnce(session, id, attempt), `stock/${account}`);
    },

    /** What the platform is to be told; null where that is over. */
    async toTell(id: string, attempt: number): Promise<CancellationToTell | null> {
      const order = found(await models.orders.findById(id).lean(), 'order');
      const { cancellation, store, platformOrder, version } = order;
      if (!cancellation?.open || cancellation.attempt !== attempt || cancellation.answer === null) return null;
      const { by, reason } = cancellation;
      // The buyer asked for it, too, before the platform was told.
      const isGranted = cancellation.answer === 'cancel' && order.state === 'cancel_requested';
      const answer = isGranted ? ('accept' as const) : cancellation.answer;
      const lines = cancellation.lines ?? null;
      return { store, platformOrder, answer, reason: reason as CancelReason, by, lines, version };
    },

    /** The platform knows. @param version that was answered @returns how it ended, or null where it was over before */
    settle: (which: { order: string; attempt: number }, told: CancelOutcome, version: number) =>
      whileTelling(
        which,
        async (session, order, cancellation): Promise<CancellationAfter & { outcome: CancellationEnd }> => {
          if (told === 'cancelled') return { outcome: 'cancelled', ...(await cancel(session, order, cancellation)) };
          const intakes = await intake.askAgain(session, order);
          const ended = async (outcome: CancellationEnd, more: Parameters<typeof end>[4]) => ({
            outcome,
            lanes: [...intakes, ...(await end(session, order, cancellation, outcome, more))],
            recalls: [],
          });
          const detail = cancellation.refusal ?? 'The recall failed';
          if (told === 'gone_on' && cancellation.by === 'seller') {
            const why = cancellation.answer === 'reject' ? detail : 'The platform says that the order has left';
            return ended('failed', { code: 'cancel_not_possible', detail: why });
          }
          if (told === 'gone_on')
            return ended('withdrawn', { detail: 'The buyer no longer asks for it', wish: version });
          // A wish that stays there would else seem renewed with each newer version.
          const wish = told === 'stays' ? {} : { wish: version };
          return ended('rejected', { code: 'recall_refused', detail, ...wish });
        },
      ),

    /** The platform was asked for single lines. @param cancelled those that are cancelled there @returns as `settle` */
    settleLines: (which: { order: string; attempt: number }, cancelled: readonly string[]) =>
      whileTelling(
        which,
        async (session, order, cancellation): Promise<CancellationAfter & { outcome: CancellationEnd }> => {
          const gone = (cancellation.lines ?? []).filter((line) => cancelled.includes(line));
          const lanes = [
            ...(await intake.askAgain(session, order)),
            ...(await intake.dropLinesOf(session, order, gone)),
          ];
          const outcome = gone.length > 0 ? 'cancelled' : 'withdrawn';
          const detail = gone.length > 0 ? `Cancelled there: ${gone.join(', ')}` : 'The buyer no longer asks for them';
          await end(session, order, cancellation, outcome, { detail, set: { lines: order.lines } });
          return { outcome, lanes, recalls: [] };
        },
      ),

    /** The tries are used up: an operator decides. */
    park: (which: { order: string; attempt: number }, { code, detail }: { code: FailureCode; detail: string }) =>
      whileTelling(which, async (session, order, cancellation) => {
        await write(session, order, { ...cancellation, code, detail });
        await operations.end(session, orderCancelId(order._id, which.attempt), 'parked', { error: { code, detail } });
      }),

    resume: (which: { order: string; attempt: number }) =>
      whileTelling(which, async (session, order) => {
        await operations.begin(session, {
          workflowId: orderCancelId(order._id, which.attempt),
          kind: 'order_cancel',
          accounts: [order.account],
          document: order._id,
        });
      }),

    /** The platform is not told: the order goes on as it is. @returns lanes to wake; null where it was over before */
    giveUp: (which: { order: string; attempt: number }, detail: string) =>
      whileTelling(which, (session, order, cancellation) =>
        end(session, order, cancellation, 'failed', { code: 'abandoned', detail, abandoned: true }),
      ),

    /** The open cancellation that a package's recall is part of. */
    async waitingFor(pkg: string): Promise<string | null> {
      const row = await models.packages.findById(pkg, { order: 1 }).lean();
      const order = row && (await models.orders.findById(row.order, { cancellation: 1 }).lean());
      return order?.cancellation?.open ? orderCancelId(order._id, order.cancellation.attempt) : null;
    },

    /** Cancellations that should have a running workflow. */
    async open(before: Date, limit: number): Promise<CancellationToRun[]> {
      const rows = await models.orders
        .find({ 'cancellation.open': true, 'cancellation.askedAt': { $lt: before } } as never, {
          account: 1,
          cancellation: 1,
        })
        .limit(limit)
        .lean();
      return rows.map(({ _id, account, cancellation }) => ({
        account,
        order: _id,
        attempt: cancellation?.attempt ?? 0,
      }));
    },
  };
}
