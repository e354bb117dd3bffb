/** One pass of a store's lane: the newest quantities of what is due, in the platform's largest batches, at the lane's pace. */
import { setTimeout as wait } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { LANE_PASS_MS } from '../config/timeouts';
import type { StockEntry, StockResult } from '../connectors/port';
import { storeLaneId } from '../domain/process-ids';
import { decideQuantity, type PushRule } from '../domain/push-rules';
import type { DueDoc, ListingDoc, PushResult, StoreDoc } from '../store/models/documents';
import type { RuleSet } from '../store/repositories/lanes';
import type { RecordEntry } from '../store/repositories/pushes';
import type { FailureWords } from '../workflows/failures';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';
import { isPlatformError, toApplicationFailure } from './failures';

export interface LanePassInput {
  readonly store: string;
  readonly pacingMs: number;
  readonly batches: number;
  readonly lastBatchAt: number;
}

export type LanePass =
  | { readonly end: 'drained' | 'more'; readonly lastBatchAt: number }
  | { readonly end: 'throttled'; readonly retryAfterMs: number; readonly lastBatchAt: number }
  | ({ readonly end: 'needs_authorization' | 'failed'; readonly lastBatchAt: number } & FailureWords);

/** After this many tries an item that the platform alone puts off is set aside, so that it can't park its whole store. */
const ITEM_TRIES = 5;
/** How long a throttled lane waits where the platform doesn't say. Milliseconds. */
const UNTOLD_WAIT_MS = 1_000;

/** What is known of one due listing at the moment of sending. */
interface Planned {
  readonly due: DueDoc;
  readonly listing: ListingDoc;
  readonly sku: string;
  readonly before: number | null;
  readonly quantity: number;
  readonly rule: { id: string; revision: number } | null;
}

export function createStoreLaneActivities({ store, access, logger, heartbeat, isCancelled }: ActivityDeps) {
  /** Splits a batch into what is sent, what is there already, and what no rule or switch lets through (those are done with). */
  async function plan(row: StoreDoc, dues: readonly DueDoc[], rules: readonly PushRule[]) {
    const { listings, claims, levels, accepted } = await store.lanes.facts(row, dues);
    const send: Planned[] = [];
    const settled: DueDoc[] = [];
    const skipped: DueDoc[] = [];
    for (const due of dues) {
      const listing = listings.get(due.subject);
      const before = accepted.get(due.subject) ?? null;
      if (!listing || listing.sku === null) {
        // Whose SKU was deleted is sold no more; what was unconnected otherwise is left as it is.
        if (listing && due.urgent && before !== 0)
          send.push({ due, listing, sku: listing.sellerSku, before, quantity: 0, rule: null });
        else settled.push(due);
        continue;
      }
      const { sku } = listing;
      const decision = decideQuantity({
        rules,
        sku,
        store: row._id,
        available: levels.get(sku) ?? new Map(),
        active: claims.get(sku) ?? true,
        automatic: listing.automatic,
        forced: due.forced,
      });
      if (decision.kind === 'skip') skipped.push(due);
      else if (before === decision.quantity && !due.forced) settled.push(due);
      else send.push({ due, listing, sku, before, quantity: decision.quantity, rule: decision.rule });
    }
    return { send, settled, skipped };
  }

  function entryOf(planned: Planned, outcome: Pick<PushResult, 'outcome' | 'error' | 'quantity'>): RecordEntry {
    const { due, listing, sku, before, rule } = planned;
    return {
      id: listing._id,
      account: listing.account,
      kind: 'store',
      sku,
      store: listing.store,
      distributor: null,
      result: {
        ...outcome,
        before,
        cause: due.cause,
        rule: rule?.id ?? null,
        revision: rule?.revision ?? null,
        at: store.database.now(),
        attempts: 1,
        changes: due.changes,
      },
    };
  }

  /** Records what the platform answered per item. @returns dues that are done with */
  async function settleAnswers(planned: readonly Planned[], answers: readonly StockResult[]): Promise<DueDoc[]> {
    const byKey = new Map(answers.map((answer) => [answer.key, answer]));
    const records: RecordEntry[] = [];
    const done: DueDoc[] = [];
    for (const item of planned) {
      const answer = byKey.get(item.listing._id);
      if (!answer || answer.outcome === 'retry') continue;
      done.push(item.due);
      if (answer.outcome === 'accepted')
        records.push(entryOf(item, { outcome: 'accepted', error: null, quantity: answer.quantity }));
      else if (answer.outcome === 'refused')
        records.push(
          entryOf(item, { outcome: 'refused', error: `${answer.code}: ${answer.message}`, quantity: item.quantity }),
        );
      else
        records.push(
          entryOf(item, {
            outcome: 'refused',
            error: `floor ${answer.floor}: ${answer.message}`,
            quantity: item.quantity,
          }),
        );
    }
    await store.pushes.record(records);
    return done;
  }

  /** A platform-side floor: the nearest quantity it takes is sent right away, and the record says so. */
  async function sendFloors(
    row: StoreDoc,
    planned: readonly Planned[],
    answers: readonly StockResult[],
  ): Promise<RecordEntry[]> {
    const floors = answers.flatMap((answer) => {
      const item = answer.outcome === 'floor' ? planned.find(({ listing }) => listing._id === answer.key) : undefined;
      return item && answer.outcome === 'floor' ? [{ item, floor: answer.floor, message: answer.message }] : [];
    });
    if (floors.length === 0) return [];
    const again = await access.call(row._id, (connector, shop) =>
      connector.updateStock(
        shop,
        floors.map(({ item, floor }) => entryFor(item, floor)),
      ),
    );
    return floors.flatMap(({ item, floor, message }) =>
      again.some((answer) => answer.key === item.listing._id && answer.outcome === 'accepted')
        ? [
            entryOf(item, {
              outcome: 'accepted',
              error: `the platform's floor is ${floor}: ${message}`,
              quantity: floor,
            }),
          ]
        : [],
    );
  }

  const entryFor = (item: Planned, quantity: number): StockEntry => ({
    key: item.listing._id,
    itemId: item.listing.item,
    modelId: item.listing.model,
    quantity,
  });

  /** One batch: one platform call. `calling` is told just before it. */
  async function sendBatch(
    row: StoreDoc,
    rules: readonly PushRule[],
    due: readonly DueDoc[],
    calling: () => void,
  ): Promise<boolean> {
    const { send, settled, skipped } = await plan(row, due, rules);
    await store.dues.settle(null, [...settled, ...skipped]);
    if (send.length === 0) return false;
    await store.pushes.calling(send.flatMap(({ listing, before }) => (before === null ? [] : [listing._id])));
    calling();
    const answers = await access.call(row._id, (connector, shop) =>
      connector.updateStock(
        shop,
        send.map((item) => entryFor(item, item.quantity)),
      ),
    );
    const done = await settleAnswers(send, answers);
    await store.pushes.record(await sendFloors(row, send, answers));
    await store.dues.settle(null, done);
    const again = send.map((item) => item.due).filter((item) => !done.includes(item));
    const hopeless = again.filter(({ tries }) => tries + 1 >= ITEM_TRIES);
    await store.dues.postpone(again.filter((item) => !hopeless.includes(item)));
    await store.lanes.fail(hopeless, {
      code: 'platform_unavailable',
      detail: `the platform asked ${ITEM_TRIES} times to try again`,
    });
    if (done.length + hopeless.length === 0)
      throw ApplicationFailure.create({
        type: 'platform_unavailable',
        message: 'The platform asked to try every item again',
      });
    return true;
  }

  /** How a failed batch ends the pass. Rethrows what is to be retried with growing waits: only where nothing went through. */
  async function endOfFailure(
    error: unknown,
    row: StoreDoc,
    batch: readonly DueDoc[],
    progressed: boolean,
    lastBatchAt: number,
  ): Promise<LanePass> {
    if (isPlatformError(error) && error.kind === 'throttled')
      return { end: 'throttled', retryAfterMs: error.options.retryAfterMs ?? UNTOLD_WAIT_MS, lastBatchAt };
    const failure = toApplicationFailure(error);
    const code = failure instanceof ApplicationFailure ? (failure.type ?? 'internal') : 'internal';
    logger.warn('stock push failed', { store: row._id, account: row.account, code });
    if (code === 'needs_authorization')
      return { end: 'needs_authorization', code, detail: failure.message, lastBatchAt };
    if (code === 'store_disconnected') return { end: 'drained', lastBatchAt };
    if (code === 'platform_rejected') {
      // The call as a whole was refused for good: so is every item in it, with the platform's words.
      await store.lanes.refuse(batch, { code, detail: failure.message });
      return { end: 'more', lastBatchAt };
    }
    if (progressed) return { end: 'more', lastBatchAt };
    throw failure;
  }

  async function sendBatches(input: LanePassInput): Promise<LanePass> {
    const started = Date.now();
    const row = await store.stores.byId(input.store);
    const lane = storeLaneId(row._id);
    let { lastBatchAt } = input;
    let ruleSet: RuleSet | null = null;
    let sent = 0;
    let batch: DueDoc[] = [];
    // A lane that sends is not parked: a run before this one may have been ended while it was.
    if (lastBatchAt === 0) await store.lanes.takenUp(row._id);
    if (row.status === 'disconnected') return { end: 'drained', lastBatchAt };
    const { stockCall } = access.connectorOf(row.platform).capabilities;
    try {
      for (let round = 0; round < input.batches && Date.now() - started < LANE_PASS_MS / 2; round += 1) {
        const left = lastBatchAt + input.pacingMs - Date.now();
        if (left > 0) await wait(left);
        // A lane that was ended while this pass runs may run again already: two must not send side by side.
        if (isCancelled()) return { end: 'more', lastBatchAt };
        batch = await store.dues.next(lane, stockCall.maxEntries, stockCall.grouping === 'oneItem');
        if (batch.length === 0) return { end: 'drained', lastBatchAt };
        ruleSet = await store.lanes.ruleSet(row.account, ruleSet);
        const rules = ruleSet.account.inventoryEnabled ? ruleSet.rules : [];
        const called = await sendBatch(row, rules, batch, () => {
          lastBatchAt = Date.now();
        });
        if (called) sent += 1;
      }
      return { end: 'more', lastBatchAt };
    } catch (error) {
      return endOfFailure(error, row, batch, sent > 0, lastBatchAt);
    }
  }

  return {
    /**
     * Sends batches, at most one per pacing interval, until nothing is due, the pass is long enough, or the platform asks
     * to wait. Throws (and is retried with growing waits) only where not one batch went through.
     */
    sendDue: (input: LanePassInput): Promise<LanePass> =>
      whileAlive(
        () => heartbeat(),
        () => sendBatches(input),
      ),

    async parkLane(input: { store: string } & FailureWords): Promise<void> {
      await store.lanes.park(input.store, input);
    },
    async resumeLane(input: { store: string }): Promise<void> {
      await store.lanes.resume(input.store);
    },
    /** What was due is recorded as failed and set aside until its next change. */
    async abandonLane(input: { store: string } & FailureWords): Promise<void> {
      await store.lanes.abandon(input.store, input);
    },
  };
}
