/** Push Now: which listings it is for, and what became of each. Contract: stock-push.md, Fan-out. */

import type { ClientSession } from 'mongoose';
import { storeLaneId } from '../../domain/process-ids';
import { chooseRule } from '../../domain/push-rules';
import { type Database, found } from '../database';
import type { ListingDoc, PushOutcome, PushTarget, StockPushDoc } from '../models/documents';
import { inPieces, writeTogether } from '../together';
import { createDueRepository } from './dues';
import { createPushFacts } from './push-facts';
import { createPushRuleRepository } from './push-rules';

/** Listings that are marked in one transaction. */
const CHUNK = 100;
/** What a Push Now knows of its listings goes with it. */
const KEPT_MS = 30 * 86_400_000;
/** Items that wait, looked at at once. */
const LOST_CHUNK = 500;
const itemId = (job: string, listing: string) => `${job}|${listing}`;

export interface PushCount {
  readonly waiting: number;
  readonly outcomes: Readonly<Record<PushOutcome, number>>;
  readonly total: number;
}

/** What became of listings of Push Nows; written before their marks are taken away. A repeat changes nothing. */
export function createPushItemRepository(db: Database) {
  const { models } = db;
  return {
    async settle(
      items: readonly { readonly listing: string; readonly jobs: readonly string[]; readonly outcome: PushOutcome }[],
      session?: ClientSession,
    ): Promise<void> {
      const all = items.flatMap(({ listing, jobs, outcome }) =>
        jobs.map((job) => ({ _id: itemId(job, listing), outcome })),
      );
      const settleWithin = async (own: ClientSession, some: readonly (typeof all)[number][]) => {
        // Read by their ids alone, and compared here (ADR 4).
        const rows = await models.stockPushItems
          .find({ _id: { $in: some.map(({ _id }) => _id) } }, { outcome: 1 })
          .session(own)
          .lean();
        const waiting = new Set(rows.flatMap(({ _id, outcome }) => (outcome === 'waiting' ? [_id] : [])));
        const writes = some.flatMap(({ _id, outcome }) =>
          waiting.has(_id) ? [{ updateOne: { filter: { _id }, update: { $set: { outcome } } } }] : [],
        );
        await writeTogether(db, models.stockPushItems.collection, writes, own);
      };
      for (const some of inPieces(all))
        await (session ? settleWithin(session, some) : db.transact((own) => settleWithin(own, some)));
    },
  };
}

export function createStockPushRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);
  const facts = createPushFacts(db);
  const rules = createPushRuleRepository(db);
  const items = createPushItemRepository(db);

  /** The next listings that the target may mean, by id. */
  function candidates({ account, target, cursor }: StockPushDoc): Promise<ListingDoc[]> {
    const wanted =
      target.kind === 'listings'
        ? { _id: { $in: target.names, ...(cursor === null ? {} : { $gt: cursor }) } }
        : cursor === null
          ? {}
          : { _id: { $gt: cursor } };
    return models.listings
      .find({
        account,
        status: { $ne: 'deleted' },
        ...wanted,
        sku: target.kind === 'skus' ? { $in: target.names } : { $ne: null },
        ...(target.kind === 'stores' ? { store: { $in: target.names } } : {}),
      })
      .sort({ _id: 1 })
      .limit(CHUNK)
      .lean();
  }

  /** Of these stores, those that nothing is sent to until they are connected again. */
  async function disconnectedAmong(stores: Iterable<string>): Promise<Set<string>> {
    const rows = await models.stores.find({ _id: { $in: [...new Set(stores)] } }, { status: 1 }).lean();
    return new Set(rows.flatMap(({ _id, status }) => (status === 'disconnected' ? [_id] : [])));
  }

  /** Of these, the ones that a rule of the target writes. */
  async function meant(job: StockPushDoc, listings: readonly ListingDoc[]): Promise<ListingDoc[]> {
    const { account, target } = job;
    const disconnected = await disconnectedAmong(listings.map(({ store }) => store));
    const current = await rules.rulesAt(account, await rules.turn(null, account));
    const codes = [...new Set(listings.flatMap(({ sku }) => sku ?? []))];
    const known = await facts.skuFacts(account, codes, true);
    return listings.filter(({ sku, store }) => {
      if (disconnected.has(store)) return false;
      const about = known.get(sku ?? '');
      const rule = about && chooseRule(current.rules, about);
      // What nothing supplies is 0 under no rule.
      if (about && !about.active) return target.kind !== 'rules';
      return rule?.stores.includes(store) && (target.kind !== 'rules' || target.names.includes(rule.id));
    });
  }

  return {
    ...items,

    /** The same job again changes nothing. */
    async begin(job: string, account: string, target: PushTarget): Promise<void> {
      const createdAt = now();
      const row: Omit<StockPushDoc, '_id'> = {
        ...{ account, target, cursor: null, marked: false, createdAt },
        expiresAt: new Date(createdAt.getTime() + KEPT_MS),
      };
      await models.stockPushes.updateOne({ _id: job }, { $setOnInsert: row }, { upsert: true });
    },

    /**
     * Marks the next listings of a job as due, to be sent in any case. Goes on where it stopped.
     * @returns lanes to wake, and whether all are marked
     */
    async mark(job: string): Promise<{ marked: boolean; lanes: string[] }> {
      const row = found(await models.stockPushes.findById(job).lean(), 'Push Now');
      if (row.marked) return { marked: true, lanes: [] };
      const next = await candidates(row);
      const listings = await meant(row, next);
      const cursor = next.at(-1)?._id ?? row.cursor;
      const marked = next.length < CHUNK;
      return db.transact(async (session) => {
        const { modifiedCount } = await models.stockPushes.updateOne(
          { _id: job, cursor: row.cursor, marked: false },
          { $set: { cursor, marked } },
          { session },
        );
        if (modifiedCount === 0 || listings.length === 0) return { marked, lanes: [] };
        const expiresAt = new Date(now().getTime() + KEPT_MS);
        await models.stockPushItems.collection.insertMany(
          listings.map(({ _id, store }) => ({
            ...{ _id: itemId(job, _id), job, listing: _id, store, outcome: 'waiting', expiresAt },
          })) as never,
          { session },
        );
        const subjects = listings.map(({ _id, store, item, account }) => ({
          ...{ lane: storeLaneId(store), account, subject: _id, item },
        }));
        return { marked, lanes: await dues.mark(session, subjects, { cause: 'push now', forced: true, job }) };
      });
    },

    /** How far a job is. */
    async count(job: string): Promise<PushCount> {
      const rows = await models.stockPushItems.aggregate<{ _id: PushOutcome | 'waiting'; count: number }>([
        { $match: { job } },
        { $group: { _id: '$outcome', count: { $sum: 1 } } },
      ]);
      const of = (outcome: PushOutcome | 'waiting') => rows.find(({ _id }) => _id === outcome)?.count ?? 0;
      return {
        waiting: of('waiting'),
        outcomes: {
          accepted: of('accepted'),
          refused: of('refused'),
          failed: of('failed'),
          skipped: of('skipped'),
          plan_excluded: of('plan_excluded'),
        },
        total: rows.reduce((sum, { count }) => sum + count, 0),
      };
    },

    /** Those that wait although nothing of them is due any more, or their store was disconnected, are skipped. */
    async dropLost(job: string): Promise<void> {
      // By cursor: any number of items may really be due, in a lane that is parked.
      for (let after = ''; ; ) {
        const waiting = await models.stockPushItems
          .find({ _id: { $gt: after }, job, outcome: 'waiting' })
          .sort({ _id: 1 })
          .limit(LOST_CHUNK)
          .lean();
        const due = await models.dues
          .find({ _id: { $in: waiting.map(({ store, listing }) => `${storeLaneId(store)}|${listing}`) } }, { jobs: 1 })
          .lean();
        const there = new Set(due.flatMap(({ _id, jobs = [] }) => (jobs.includes(job) ? [_id] : [])));
        const disconnected = await disconnectedAmong(waiting.map(({ store }) => store));
        await items.settle(
          waiting.flatMap(({ store, listing }) =>
            there.has(`${storeLaneId(store)}|${listing}`) && !disconnected.has(store)
              ? []
              : [{ listing, jobs: [job], outcome: 'skipped' as const }],
          ),
        );
        const last = waiting.at(-1)?._id;
        if (last === undefined || waiting.length < LOST_CHUNK) return;
        after = last;
      }
    },

    /** Of these SKUs, those that no enabled rule contains. */
    async withoutRule(account: string, skus: readonly string[]): Promise<string[]> {
      const current = await rules.rulesAt(account, await rules.turn(null, account));
      const known = await facts.skuFacts(account, skus, true);
      return skus.filter((sku) => {
        const about = known.get(sku);
        return !about || (about.active && chooseRule(current.rules, about) === null);
      });
    },
  };
}
