/** What a store's lane reads and writes besides its due marks. Contract: stock-push.md, Fan-out. */

import { operationIdOf, storeLaneId } from '../../domain/process-ids';
import type { PushRule } from '../../domain/push-rules';
import { availableSets } from '../../domain/stock';
import { type Database, found } from '../database';
import type { AccountDoc, DueDoc, ListingDoc, PushOutcome, StoreDoc } from '../models/documents';
import { createDueRepository } from './dues';
import { createNotificationRepository } from './notifications';
import { createOperationRepository } from './operations';
import { createPushRepository, type RecordEntry } from './pushes';

export interface LaneFacts {
  readonly listings: ReadonlyMap<string, ListingDoc>;
  /** By SKU: false where it is claimed and no claim on it counts. Missing for own SKUs. */
  readonly claims: ReadonlyMap<string, boolean>;
  /** Units available by SKU and warehouse; whole sets for combinations. */
  readonly levels: ReadonlyMap<string, ReadonlyMap<string, number>>;
  /** The last quantity the platform accepted, by listing. */
  readonly accepted: ReadonlyMap<string, number>;
}

export interface RuleSet {
  readonly account: AccountDoc;
  readonly rules: readonly PushRule[];
  /** Changes with every saving of a rule. */
  readonly stamp: string;
}

export interface LaneFailure {
  readonly code: string;
  readonly detail: string;
}

export type LaneRepository = ReturnType<typeof createLaneRepository>;

export function createLaneRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const pushes = createPushRepository(db);
  const operations = createOperationRepository(db);
  const notifications = createNotificationRepository(db);

  async function recordAs(outcome: PushOutcome, batch: readonly DueDoc[], failure: LaneFailure): Promise<void> {
    const listings = await models.listings.find({ _id: { $in: batch.map(({ subject }) => subject) } }).lean();
    const entries = listings.flatMap((listing): RecordEntry[] => {
      const due = batch.find(({ subject }) => subject === listing._id);
      if (!due || listing.sku === null) return [];
      return [
        {
          id: listing._id,
          account: listing.account,
          kind: 'store',
          sku: listing.sku,
          store: listing.store,
          distributor: null,
          result: {
            quantity: null,
            before: null,
            cause: due.cause,
            rule: null,
            revision: null,
            at: now(),
            outcome,
            error: `${failure.code}: ${failure.detail}`,
            attempts: 1,
            changes: due.changes,
          },
        },
      ];
    });
    await pushes.record(entries);
  }

  return {
    /** The account's rules; those already known are kept where none was saved since. */
    async ruleSet(account: string, known: RuleSet | null): Promise<RuleSet> {
      const owner = found(await models.accounts.findById(account).lean(), 'account');
      const revisions = await models.pushRules.find({ account }, { revision: 1 }).sort({ _id: 1 }).lean();
      const stamp = revisions.map(({ _id, revision }) => `${_id}:${revision}`).join();
      if (known?.stamp === stamp) return { ...known, account: owner };
      return { account: owner, rules: await pushes.rules(account), stamp };
    },

    /** What a batch's quantities are decided from, as stored now. */
    async facts(row: StoreDoc, batch: readonly DueDoc[]): Promise<LaneFacts> {
      const ids = batch.map(({ subject }) => subject);
      const [listings, accepted] = await Promise.all([
        models.listings.find({ _id: { $in: ids } }).lean(),
        pushes.accepted(ids),
      ]);
      const codes = [...new Set(listings.flatMap(({ sku }) => sku ?? []))];
      const entries = await models.skus
        .find({ account: row.account, sku: { $in: codes } }, { sku: 1, kind: 1, components: 1, mirror: 1 })
        .lean();
      const parts = entries.flatMap(({ components }) => components.map(({ sku }) => sku));
      const mirroredParts =
        parts.length === 0
          ? []
          : await models.skus
              .find({ account: row.account, sku: { $in: parts }, mirror: { $ne: null } }, { sku: 1 })
              .lean();
      const mirrored = [
        ...entries.flatMap(({ sku, mirror }) => (mirror ? [sku] : [])),
        ...mirroredParts.map(({ sku }) => sku),
      ];
      const [stock, claims] = await Promise.all([
        models.stock
          .find({ account: row.account, sku: { $in: [...codes, ...parts] } }, { sku: 1, warehouse: 1, available: 1 })
          .lean(),
        mirrored.length === 0
          ? []
          : models.claims
              .find({ distributor: row.account, sku: { $in: mirrored }, stopped: false }, { sku: 1, causes: 1 })
              .lean(),
      ]);
      const singles = new Map<string, Map<string, number>>();
      for (const { sku, warehouse, available } of stock) {
        const places = singles.get(sku) ?? new Map<string, number>();
        singles.set(sku, places.set(warehouse, available));
      }
      const levels = new Map<string, ReadonlyMap<string, number>>(singles);
      for (const entry of entries)
        if (entry.kind === 'combination') {
          const warehouses = new Set(entry.components.flatMap(({ sku }) => [...(singles.get(sku)?.keys() ?? [])]));
          levels.set(
            entry.sku,
            new Map(
              [...warehouses].map((warehouse) => [
                warehouse,
                availableSets(entry.components, (part) => singles.get(part)?.get(warehouse) ?? 0),
              ]),
            ),
          );
        }
      const active = new Map(
        mirrored.map((sku) => [sku, claims.some((claim) => claim.sku === sku && claim.causes.length === 0)]),
      );
      // A set is sold only while all its claimed parts are.
      for (const { sku, components } of entries)
        if (components.some((part) => active.get(part.sku) === false)) active.set(sku, false);
      return {
        listings: new Map(listings.map((listing) => [listing._id, listing])),
        claims: active,
        levels,
        accepted,
      };
    },

    /** Records items the platform refused for good as a whole call, and takes their marks away. */
    async refuse(batch: readonly DueDoc[], failure: LaneFailure): Promise<void> {
      await recordAs('refused', batch, failure);
      await dues.settle(null, batch);
    },

    /** Items the platform would not take in many tries: recorded as failed and set aside until their next change. */
    async fail(batch: readonly DueDoc[], failure: LaneFailure): Promise<void> {
      await recordAs('failed', batch, failure);
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
      await dues.setAside(batch);
      await recordAs('failed', batch, failure);
      await operations.end(null, workflowId, 'abandoned', {
        error: { code: 'platform_unavailable', detail: failure.detail },
        progress: { done: 0, failed: batch.length, total: batch.length },
      });
    },
  };
}
