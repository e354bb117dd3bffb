/** The steps of a bulk operation. A step may run twice: what is noted of an object is not done again. */
import { setTimeout as pause } from 'node:timers/promises';
import pLimit from 'p-limit';
import { type FailureCode, isHubError } from '../domain/failures';
import { operationIdOf, orderPushId } from '../domain/process-ids';
import type { BulkDoc, BulkItemDoc, PackageDoc } from '../store/models/documents';
import type { BulkResult } from '../store/repositories/bulks';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';
import { blockersOf, createPushStarts } from './push-starts';

/** Decisions that one step makes. */
const PER_STEP = 25;
/** Pushes that a step has under way: those to one supplier take turns, and a long queue stretches their workflow tasks. */
const UNDER_WAY = 8;
const AT_ONCE = 4;
/** How long a step begins pushes and looks for their ends before it hands back. Milliseconds. */
const LOOK_MS = 5_000;
const LOOK_PAUSE_MS = 100;
/** Blockers of one order that its result names; the order's packages show all of theirs. */
const BLOCKERS_SHOWN = 50;

export interface BulkStep {
  readonly progress: { readonly done: number; readonly failed: number; readonly total: number };
  readonly more: boolean;
  /** Everything is begun, and some have not ended. */
  readonly waits: boolean;
}

/** What a refusal looks like in the list of results. */
function refusalOf(error: unknown): { code: FailureCode; detail: string; blockers?: unknown } {
  if (!isHubError(error) || error.retryable) throw error;
  const { blockers } = (error.extra.members ?? {}) as { blockers?: unknown[] };
  return {
    code: error.code,
    detail: error.detail,
    ...(blockers === undefined ? {} : { blockers: blockers.slice(0, BLOCKERS_SHOWN) }),
  };
}

const packageResult = ({ _id, status, attempt, supplyOrder, parked, blockers, failure }: PackageDoc) => ({
  package: _id,
  status,
  supplyOrder,
  operation: attempt === 0 ? null : operationIdOf(orderPushId(_id, attempt)),
  parked,
  blockers: blockers.slice(0, BLOCKERS_SHOWN),
  failure,
});

export function createBulkActivities(deps: ActivityDeps) {
  const { store, processes, heartbeat } = deps;
  const { bulks } = store;
  const starts = createPushStarts(deps, (start) => start());

  async function beginPush({ account, by }: BulkDoc, { _id, item }: BulkItemDoc): Promise<void> {
    try {
      const { begun, blocked, refused } = await starts.begin(account, item, by);
      const packages = [...begun, ...blocked].map(({ package: pkg }) => pkg);
      const blockers = blockersOf(blocked).slice(0, BLOCKERS_SHOWN);
      if (begun.length > 0) await bulks.noteBegun(_id, packages, { refused });
      else
        await bulks.noteEnd(_id, {
          ok: false,
          order: item,
          code: 'push_blocked',
          detail: blockers.map(({ detail }) => detail).join('; '),
          blockers,
          refused,
        });
    } catch (error) {
      await bulks.noteEnd(_id, { ok: false, order: item, ...refusalOf(error) });
    }
  }

  /** The order's packages once none of them is being pushed; null before. */
  async function endOfPush({ account }: BulkDoc, { item, waitsFor, result }: BulkItemDoc): Promise<BulkResult | null> {
    const packages = await Promise.all(waitsFor.map((pkg) => store.orders.package(account, pkg)));
    if (packages.some(({ status }) => status === 'pushing')) return null;
    const held = packages.filter(({ supplyOrder }) => supplyOrder === null);
    const [first] = held;
    return {
      ok: held.length === 0,
      order: item,
      ...(first
        ? {
            code: first.failure?.code ?? (first.blockers.length > 0 ? 'push_blocked' : 'not_pushable'),
            detail: first.failure?.detail ?? first.blockers.map(({ detail }) => detail).join('; '),
          }
        : {}),
      blockers: blockersOf(held.map(({ _id, blockers }) => ({ package: _id, blockers }))).slice(0, BLOCKERS_SHOWN),
      packages: packages.map(packageResult),
      // What of the order was not to be pushed, known since it was begun.
      refused: result?.refused ?? [],
    };
  }

  /** Retries or abandons one parked operation. */
  async function decide({ account, kind, by }: BulkDoc, { _id, item, state }: BulkItemDoc): Promise<void> {
    const decision = kind === 'abandon' ? 'abandon' : 'retry';
    try {
      const { workflowId } = await store.operations.get(account, item);
      // Noted first, so that a step which died between decision and note is not refused by its own decision.
      if (state === 'waiting') await bulks.noteBegun(_id, []);
      await processes.decide(workflowId, decision, by).catch((error: unknown) => {
        if (state === 'waiting' || !isHubError(error) || error.code !== 'operation_not_parked') throw error;
      });
      await bulks.noteEnd(_id, { ok: true, operation: item });
    } catch (error) {
      await bulks.noteEnd(_id, { ok: false, operation: item, ...refusalOf(error) });
    }
  }

  /** Writes down what has ended. @returns those that have not */
  async function noteEnds(bulk: BulkDoc): Promise<Set<string>> {
    const begun = await bulks.begun(bulk._id);
    const pushing = await store.orders.pushingAmong(begun.flatMap(({ waitsFor }) => waitsFor));
    const open = begun.filter(({ waitsFor }) => waitsFor.some((pkg) => pushing.has(pkg)));
    for (const item of begun)
      if (!open.includes(item)) {
        const result = await endOfPush(bulk, item);
        if (result !== null) await bulks.noteEnd(item._id, result);
      }
    return new Set(open.map(({ _id }) => _id));
  }

  /** Begins pushes as others end, for a while. What earlier steps began and is not over holds none of them up. */
  async function pushSome(bulk: BulkDoc): Promise<{ waits: boolean }> {
    const turn = pLimit(AT_ONCE);
    const own = new Set<string>();
    for (const end = Date.now() + LOOK_MS; ; ) {
      const open = await noteEnds(bulk);
      const free = UNDER_WAY - [...own].filter((item) => open.has(item)).length;
      const next = free > 0 ? await bulks.waiting(bulk._id, free) : [];
      await Promise.all(next.map((item) => turn(beginPush, bulk, item)));
      for (const { _id } of next) own.add(_id);
      if (open.size === 0 && next.length === 0) return { waits: false };
      if (Date.now() >= end || deps.isCancelled()) return { waits: (await bulks.waiting(bulk._id, 1)).length === 0 };
      await pause(LOOK_PAUSE_MS);
    }
  }

  /** What a dead step had begun to decide comes first. */
  async function decideSome(bulk: BulkDoc): Promise<{ waits: boolean }> {
    const turn = pLimit(AT_ONCE);
    const next = [...(await bulks.begun(bulk._id)), ...(await bulks.waiting(bulk._id, PER_STEP))];
    await Promise.all(next.map((item) => turn(decide, bulk, item)));
    return { waits: false };
  }

  async function step(id: string): Promise<BulkStep> {
    const bulk = await bulks.get(id);
    const { waits } = await (bulk.kind === 'push' ? pushSome(bulk) : decideSome(bulk));
    const { over, ...progress } = await bulks.report(id);
    return { progress, more: !over, waits: waits && !over };
  }

  return {
    /** Begins the next objects, or looks for the ends of those that were begun. */
    bulkStep: (input: { bulk: string }): Promise<BulkStep> => whileAlive(heartbeat, () => step(input.bulk)),

    async stopBulk(input: { bulk: string; why: string }): Promise<void> {
      await bulks.stop(input.bulk, { code: 'abandoned', detail: input.why });
    },
  };
}
