/** What a store's lane reads and writes besides its due marks. Contract: stock-push.md, Fan-out. */

import { operationIdOf, storeLaneId } from '../../domain/process-ids';
import type { PushRule, SkuFacts } from '../../domain/push-rules';
import { type Database, found } from '../database';
import type { AccountDoc, DueDoc, ListingDoc, PushOutcome, StoreDoc } from '../models/documents';
import { inPieces } from '../together';
import { createDueRepository } from './dues';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { createPushFacts, needMapping } from './push-facts';
import type { RulesAt } from './push-rules';
import { createPushRepository, type RecordEntry } from './pushes';

export interface LaneFacts {
  readonly listings: ReadonlyMap<string, ListingDoc>;
  readonly skus: ReadonlyMap<string, SkuFacts>;
  /** The last quantity the platform accepted, by listing. */
  readonly accepted: ReadonlyMap<string, number>;
}

export interface RuleSet extends RulesAt {
  readonly account: AccountDoc;
}

export interface LaneFailure {
  readonly code: string;
  readonly detail: string;
}

/** Who calls: a pass of a store's lane. */
export interface LaneCaller {
  readonly store: string;
  readonly pass: string;
}

export function createLaneRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const pushes = createPushRepository(db);
  const facts = createPushFacts(db);
  const operations = createOperationRepository(db);
  const notifications = createNotificationRepository(db);

  /** @param called how many calls brought this about, besides those that brought nothing */
  async function recordAs(
    outcome: PushOutcome,
    batch: readonly DueDoc[],
    failure: LaneFailure,
    called: number,
  ): Promise<void> {
    if (batch.length === 0) return;
    const listings = await models.listings.find({ _id: { $in: batch.map(({ subject }) => subject) } }).lean();
    const dueOf = new Map(batch.map((due) => [due.subject, due]));
    const entries = listings.flatMap((listing): RecordEntry[] => {
      const due = dueOf.get(listing._id);
      if (!due || listing.sku === null) return [];
      return [
        {
          id: listing._id,
          account: listing.account,
          kind: 'store',
          sku: listing.sku,
          store: listing.store,
          distributor: null,
          jobs: due.jobs ?? [],
          result: {
            quantity: null,
            before: null,
            cause: due.cause,
            rule: null,
            revision: null,
            at: now(),
            outcome,
            error: `${failure.code}: ${failure.detail}`,
            attempts: (due.calls ?? 0) + called,
            changes: due.changes,
          },
        },
      ];
    });
    await pushes.record(entries);
  }

  return {
    /** The account's rules now; those already known are kept where none was saved since. */
    async ruleSet(account: string, known: RuleSet | null): Promise<RuleSet> {
      const owner = found(await models.accounts.findById(account).lean(), 'account');
      return { account: owner, ...(await pushes.rulesAt(account, owner.ruleTurns ?? 0, known)) };
    },

    /** What a batch's quantities are decided from, as stored now. */
    async facts(row: StoreDoc, batch: readonly DueDoc[], rules: readonly PushRule[]): Promise<LaneFacts> {
      const ids = batch.map(({ subject }) => subject);
      const [listings, accepted] = await Promise.all([
        models.listings.find({ _id: { $in: ids } }).lean(),
        pushes.accepted(row._id, ids),
      ]);
      const codes = [...new Set(listings.flatMap(({ sku }) => sku ?? []))];
      return {
        listings: new Map(listings.map((listing) => [listing._id, listing])),
        skus: await facts.skuFacts(row.account, codes, needMapping(rules)),
        accepted,
      };
    },

    /**
     * What a call came to, and the marks that are done with it: in one transaction.
     * @param called listings that it carried; none where nothing was to be called
     * @throws `unavailable` where a later pass took the call up: nothing of it is recorded then
     */
    async answered(
      { store, pass }: LaneCaller,
      called: readonly string[],
      entries: readonly RecordEntry[],
      done: readonly DueDoc[],
    ): Promise<void> {
      const known = new Set(entries.map(({ id }) => id));
      const unknown = called.filter((id) => !known.has(id));
      await db.transact(async (session) => {
        if (called.length > 0) await pushes.calledWithin(session, store, pass, unknown);
        await pushes.recordWithin(session, entries);
        // Last: changes write these, too, and wait the less.
        await dues.settle(session, done);
      });
    },

    /** A store that is left out: recorded, and done with. */
    async leaveOut(
      batch: readonly DueDoc[],
      outcome: 'plan_excluded' | 'skipped',
      failure: LaneFailure,
    ): Promise<void> {
      await recordAs(outcome, batch, failure, 0);
      await dues.settle(null, batch);
    },

    /** Items the platform would not take in many tries: recorded as failed and set aside until their next change. */
    async fail(batch: readonly DueDoc[], failure: LaneFailure): Promise<void> {
      await recordAs('failed', batch, failure, 1);
      await dues.setAside(batch);
    },

    /** The lane waits for a decision: listed as an operation, its owner told once an hour at most. */
    async park(store: string, failure: LaneFailure): Promise<void> {
      const row = found(await models.stores.findById(store).lean(), 'store');
      const workflowId = storeLaneId(store);
      await operations.begin(null, { workflowId, kind: 'store_lane', accounts: [row.account], document: store });
      const waiting = await dues.waiting(workflowId);
      await operations.end(null, workflowId, 'parked', {
        error: {
          code: failure.code === 'needs_authorization' ? 'needs_authorization' : 'platform_unavailable',
          detail: failure.detail,
        },
        progress: { done: 0, failed: 0, total: waiting },
      });
      if (failure.code !== 'needs_authorization')
        await notifications.notify(null, {
          account: row.account,
          event: 'stock_push_failed',
          occurrence: `${store}/${now().toISOString().slice(0, 13)}`,
          document: store,
          detail: failure.detail,
        });
    },

    /** Those of the lanes that are listed as parked. */
    async parkedAmong(lanes: readonly string[]): Promise<Set<string>> {
      const rows = await models.operations
        .find({ _id: { $in: lanes.map(operationIdOf) }, status: 'parked' }, { workflowId: 1 })
        .lean();
      return new Set(rows.map(({ workflowId }) => workflowId));
    },

    async resume(store: string): Promise<void> {
      await operations.end(null, storeLaneId(store), 'done', { result: { decision: 'retry' } });
    },

    /** Nobody's decision is waited for any more, without one: the parked workflow was terminated and another one sends. */
    async takenUp(store: string): Promise<void> {
      await models.operations.updateOne(
        { _id: operationIdOf(storeLaneId(store)), status: 'parked' },
        { $set: { status: 'done', error: null, result: { decision: null }, updatedAt: now() } },
      );
    },

    /** What was due is recorded as failed and set aside until its next change. */
    async abandon(store: string, failure: LaneFailure): Promise<void> {
      const workflowId = storeLaneId(store);
      const batch = await dues.all(workflowId);
      // A piece after the other, however much it is: a repeat goes on with what is left.
      for (const some of inPieces(batch)) {
        await recordAs('failed', some, failure, 0);
        await dues.setAside(some);
      }
      await operations.end(null, workflowId, 'abandoned', {
        error: { code: 'platform_unavailable', detail: failure.detail },
        progress: { done: 0, failed: batch.length, total: batch.length },
      });
    },
  };
}
