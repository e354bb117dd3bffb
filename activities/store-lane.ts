/** One pass of a store's lane: the newest quantities of what is due, in the platform's largest batches, at the lane's pace. */
import { setTimeout as wait } from 'node:timers/promises';
import { ApplicationFailure } from '@temporalio/common';
import { LANE_PASS_MS } from '../config/timeouts';
import { planExcludes } from '../domain/accounts';
import { newId } from '../domain/ids';
import { storeLaneId } from '../domain/process-ids';
import type { PushRule } from '../domain/push-rules';
import type { DueDoc, StoreDoc } from '../store/models/documents';
import type { RuleSet } from '../store/repositories/lanes';
import type { RulesAt } from '../store/repositories/push-rules';
import type { FailureWords } from '../workflows/failures';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';
import { isPlatformError, toApplicationFailure } from './failures';
import { createBatchSender } from './lane-batch';

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

/** How long a throttled lane waits where the platform doesn't say. Milliseconds. */
const UNTOLD_WAIT_MS = 1_000;

/** How often a call that is still out is looked at. Milliseconds. */
const CALL_LOOK_MS = 50;
const EXCLUDED_AT_ONCE = 200;
const NO_RULES: readonly PushRule[] = [];
/** Sets of rules that orders keep, known at once within a pass. */
const RULE_SETS_KNOWN = 20;

export function createStoreLaneActivities({ store, access, logger, heartbeat, isCancelled }: ActivityDeps) {
  const batches = createBatchSender({ store, access });

  /** The rules of each mark: its order's, where nothing else has changed the listing; else those of now. */
  async function rulesFor(account: string, now: RuleSet, known: Map<number, RulesAt>, batch: readonly DueDoc[]) {
    if (known.size > RULE_SETS_KNOWN) known.clear();
    for (const { ruleTurn } of batch)
      if (typeof ruleTurn === 'number' && ruleTurn !== now.turn && !known.has(ruleTurn))
        known.set(ruleTurn, await store.pushes.rulesAt(account, ruleTurn));
    return ({ ruleTurn }: DueDoc): readonly PushRule[] =>
      (typeof ruleTurn === 'number' ? known.get(ruleTurn) : undefined)?.rules ?? now.rules;
  }

  /** How a failed batch ends the pass. Rethrows what is to be retried with growing waits: only where nothing went through. */
  async function endOfFailure(
    error: unknown,
    row: StoreDoc,
    batch: readonly DueDoc[],
    progressed: boolean,
    lastBatchAt: number,
  ): Promise<LanePass> {
    if (isPlatformError(error)) await store.dues.unanswered(batch);
    if (isPlatformError(error) && error.kind === 'throttled')
      return { end: 'throttled', retryAfterMs: error.options.retryAfterMs ?? UNTOLD_WAIT_MS, lastBatchAt };
    const failure = toApplicationFailure(error);
    const code = failure instanceof ApplicationFailure ? (failure.type ?? 'internal') : 'internal';
    logger.warn('stock push failed', { store: row._id, account: row.account, code });
    if (code === 'needs_authorization')
      return { end: 'needs_authorization', code, detail: failure.message, lastBatchAt };
    if (code === 'store_disconnected') return { end: 'drained', lastBatchAt };
    if (progressed) return { end: 'more', lastBatchAt };
    throw failure;
  }

  /** A store that is left out needs no platform: what is due is recorded as such. */
  async function leaveOut(
    row: StoreDoc,
    { batches: rounds, lastBatchAt }: LanePassInput,
    outcome: 'plan_excluded' | 'skipped',
    failure: FailureWords,
  ): Promise<LanePass> {
    const reader = store.dues.reader(storeLaneId(row._id), EXCLUDED_AT_ONCE);
    for (let round = 0; round < rounds; round += 1) {
      const batch = await reader.next();
      if (batch.length === 0) return { end: 'drained', lastBatchAt };
      await store.lanes.leaveOut(batch, outcome, failure);
    }
    return { end: 'more', lastBatchAt };
  }

  const excluded = (row: StoreDoc, input: LanePassInput) =>
    leaveOut(row, input, 'plan_excluded', { code: 'plan_excluded', detail: `The plan leaves ${row.platform} out` });
  const unconfigured = (row: StoreDoc, input: LanePassInput) =>
    leaveOut(row, input, 'skipped', {
      code: 'platform_not_configured',
      detail: `${row.platform} is not configured on this hub`,
    });

  /** A lane that was ended, or a pass that was taken for dead, may still have a call on its way: it comes to its end first. */
  async function takeTurn(id: string, pass: string): Promise<boolean> {
    for (let isOurs = await store.pushes.beginPass(id, pass); !isOurs; isOurs = await store.pushes.takeUpCall(id)) {
      if (isCancelled()) return false;
      await wait(CALL_LOOK_MS);
    }
    return true;
  }

  async function sendBatches(input: LanePassInput): Promise<LanePass> {
    const started = Date.now();
    const row = await store.stores.byId(input.store);
    const lane = storeLaneId(row._id);
    let { lastBatchAt } = input;
    let ruleSet: RuleSet | null = null;
    const kept = new Map<number, RulesAt>();
    let sent = 0;
    let batch: DueDoc[] = [];
    // A lane that sends is not parked: a run before this one may have been ended while it was.
    if (lastBatchAt === 0) await store.lanes.takenUp(row._id);
    if (row.status === 'disconnected') return { end: 'drained', lastBatchAt };
    const pass = newId('command');
    if (!(await takeTurn(row._id, pass))) return { end: 'more', lastBatchAt };
    try {
      if (planExcludes((await store.accounts.get(row.account)).plan, row.platform)) return await excluded(row, input);
      if (!access.isConfigured(row.platform)) return await unconfigured(row, input);
      const { stockCall } = access.connectorOf(row.platform).capabilities;
      const reader = store.dues.reader(lane, stockCall.maxEntries, stockCall.grouping === 'oneItem');
      for (let round = 0; round < input.batches && Date.now() - started < LANE_PASS_MS / 2; round += 1) {
        const left = lastBatchAt + input.pacingMs - Date.now();
        if (left > 0) await wait(left);
        // Sooner than `calling` would find out that another pass sends.
        if (isCancelled()) return { end: 'more', lastBatchAt };
        batch = await reader.next();
        if (batch.length === 0) return { end: 'drained', lastBatchAt };
        ruleSet = await store.lanes.ruleSet(row.account, ruleSet);
        const isOn = ruleSet.account.inventoryEnabled;
        const rulesOf = isOn ? await rulesFor(row.account, ruleSet, kept, batch) : () => NO_RULES;
        const called = await batches.sendBatch(row, pass, rulesOf, batch, () => {
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
