/** The records of what was pushed where, beside the rules that say what is. Contract: stock-push.md. */
import type { Document } from 'mongodb';
import type { ClientSession, QueryFilter } from 'mongoose';
import { HubError } from '../../domain/failures';
import { type Database, type Page, type PageRequest, toPage } from '../database';
import type { PushRecordDoc, PushResult, StoreCallDoc } from '../models/documents';
import { HISTORY_MS } from '../models/index';
import { inPieces, writeTogether } from '../together';
import { createPushRuleRepository } from './push-rules';
import { createPushItemRepository } from './stock-pushes';

/** How many results a record's history keeps. */
const HISTORY_LENGTH = 30;

/** A ring: each result is written over the one that is no longer among the newest. */
const historyId = (record: string, number: number) => `${record}|${number % HISTORY_LENGTH}`;

const NO_CALL: Pick<StoreCallDoc, 'caller' | 'until' | 'listings'> = { caller: null, until: null, listings: [] };
const superseded = () => new HubError('unavailable', 'Another pass sends to this store');

export interface RecordEntry {
  readonly id: string;
  readonly account: string;
  readonly kind: PushRecordDoc['kind'];
  readonly sku: string;
  readonly store: string | null;
  readonly distributor: string | null;
  readonly result: PushResult;
  /** Push Nows that wait for it. */
  readonly jobs?: readonly string[];
}

/** What a result makes of its record: the latest, for good. */
function written({ account, kind, sku, store, distributor, result }: RecordEntry): Document {
  const { outcome, quantity } = result;
  return {
    $set: {
      ...{ account, kind, sku, store, distributor, latest: result, passedBy: false },
      // A refusal leaves there what was there: where that was not known, it still is not.
      ...(outcome === 'accepted' ? { accepted: quantity, unanswered: false } : {}),
    },
    $inc: { results: 1 },
    ...(outcome === 'accepted' ? {} : { $setOnInsert: { accepted: null } }),
  };
}

export interface PushHistory extends PushRecordDoc {
  /** Newest first. */
  readonly history: readonly PushResult[];
}

export interface RecordFilter {
  readonly kind: PushRecordDoc['kind'];
  readonly sku?: string;
  readonly store?: string;
  readonly distributor?: string;
  readonly outcome?: string;
  /** Of the latest result, both included. */
  readonly from?: Date;
  readonly to?: Date;
}

function conditions(account: string, { outcome, from, to, ...fields }: RecordFilter): QueryFilter<PushRecordDoc> {
  return {
    account,
    ...fields,
    ...(outcome === undefined ? {} : { 'latest.outcome': outcome }),
    ...(from === undefined && to === undefined
      ? {}
      : { 'latest.at': { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lte: to }) } }),
  } as QueryFilter<PushRecordDoc>;
}

export function createPushRepository(db: Database) {
  const { models, now } = db;
  const items = createPushItemRepository(db);

  /** Nobody knows whether these are there. */
  async function markUnanswered(session: ClientSession, ids: readonly string[]): Promise<void> {
    if (ids.length > 0)
      await models.pushRecords.updateMany({ _id: { $in: [...ids] } }, { $set: { unanswered: true } }, { session });
  }

  /**
   * A call is over: what is known of its listings is in their records. In the caller's transaction.
   * @throws `unavailable` where a later pass took it up already: which of their calls was the last is not known then
   */
  async function calledWithin(
    session: ClientSession,
    store: string,
    pass: string,
    unknown: readonly string[],
  ): Promise<void> {
    const row = await models.storeCalls.findById(store).session(session).lean();
    if (row?.caller !== pass) throw superseded();
    await markUnanswered(session, unknown);
    await models.storeCalls.updateOne({ _id: store }, { $set: NO_CALL }, { session });
  }

  /** What the call of an earlier pass carried becomes known by the records themselves. @returns false while it may last */
  async function takeUpCall(store: string): Promise<boolean> {
    return db.transact(async (session) => {
      const row = await models.storeCalls.findById(store).session(session).lean();
      if (!row?.caller) return true;
      if (row.until !== null && row.until > now()) return false;
      await markUnanswered(session, row.listings);
      await models.storeCalls.updateOne({ _id: store }, { $set: NO_CALL }, { session });
      return true;
    });
  }

  async function recordWithin(session: ClientSession, entries: readonly RecordEntry[]): Promise<void> {
    const rows = await models.pushRecords
      .find({ _id: { $in: entries.map(({ id }) => id) } }, { results: 1 })
      .session(session)
      .lean();
    const counts = new Map(rows.map(({ _id, results }) => [_id, results ?? 0]));
    const records = entries.map((entry) => ({
      updateOne: { filter: { _id: entry.id }, update: written(entry), upsert: true },
    }));
    const history = entries.map(({ id, result }) => {
      const number = counts.get(id) ?? 0;
      counts.set(id, number + 1);
      const _id = historyId(id, number);
      return { replaceOne: { filter: { _id }, replacement: { number, ...result }, upsert: true } };
    });
    await writeTogether(db, models.pushRecords.collection, records, session);
    await writeTogether(db, models.pushHistory.collection, history, session);
    const waited = entries.flatMap(({ id, jobs = [], result }) =>
      jobs.length === 0 ? [] : [{ listing: id, jobs, outcome: result.outcome }],
    );
    await items.settle(waited, session);
  }

  return {
    ...createPushRuleRepository(db),

    /**
     * A pass of the store's lane begins: from now on no earlier one begins a call.
     * @returns whether it may send; false where the call of an earlier one may still be on its way (`takeUpCall`)
     */
    async beginPass(store: string, pass: string): Promise<boolean> {
      const before = await models.storeCalls
        .findByIdAndUpdate(store, { $set: { pass } }, { upsert: true, returnDocument: 'before' })
        .lean();
      return !before?.caller || takeUpCall(store);
    },
    takeUpCall,

    /**
     * Notes that a pass is about to call. Until its answer is recorded nobody knows what the store has: should the answer be
     * lost, not even the quantity accepted last is taken for granted.
     * @param forMs longer than this it does not last
     * @throws `unavailable` where a later pass has begun: of two that send side by side, the older could be the last
     */
    async calling(store: string, pass: string, listings: readonly string[], forMs: number): Promise<void> {
      const until = new Date(now().getTime() + forMs);
      await db.transact(async (session) => {
        const row = await models.storeCalls.findById(store).session(session).lean();
        if (row?.pass !== pass) throw superseded();
        const $set = { caller: pass, until, listings: [...listings] };
        await models.storeCalls.updateOne({ _id: store }, { $set }, { session });
      });
    },

    /** Its call has come to its end without results. @param unknown listings of it that the store may have written */
    async called(store: string, pass: string, unknown: readonly string[]): Promise<void> {
      await db.transact((session) => calledWithin(session, store, pass, unknown));
    },
    calledWithin,

    /** Nothing had to be sent, the store has it: from now on this rule says why it does. */
    async stand(
      settled: readonly {
        readonly id: string;
        readonly quantity: number;
        readonly rule: { readonly id: string; readonly revision: number } | null;
      }[],
    ): Promise<void> {
      for (const some of inPieces(settled))
        await db.transact(async (session) => {
          const rows = await models.pushRecords
            .find({ _id: { $in: some.map(({ id }) => id) } }, { accepted: 1, latest: 1 })
            .session(session)
            .lean();
          const has = new Map(
            rows.map(({ _id, accepted, latest }) => [_id, latest.outcome === 'accepted' ? accepted : null]),
          );
          const writes = some.flatMap(({ id, quantity, rule }) => {
            if (has.get(id) !== quantity) return [];
            const latest = { 'latest.rule': rule?.id ?? null, 'latest.revision': rule?.revision ?? null };
            return [{ updateOne: { filter: { _id: id }, update: { $set: { passedBy: false, ...latest } } } }];
          });
          await writeTogether(db, models.pushRecords.collection, writes, session);
        });
    },

    /** A change that no rule or switch let through: what the store has is no longer what its record's rule gives. */
    async passedBy(ids: readonly string[]): Promise<void> {
      for (const some of inPieces(ids))
        await db.transact(async (session) => {
          await models.pushRecords.updateMany({ _id: { $in: [...some] } }, { $set: { passedBy: true } }, { session });
        });
    },

    /** What the store has by its last answer, by record id; missing where that is not known. */
    async accepted(store: string, ids: readonly string[]): Promise<Map<string, number>> {
      // First: a call that ends in between is in its records then.
      const open = new Set((await models.storeCalls.findById(store).lean())?.listings);
      const rows = await models.pushRecords.find({ _id: { $in: [...ids] } }, { accepted: 1, unanswered: 1 }).lean();
      return new Map(
        rows.flatMap(({ _id, accepted, unanswered }) =>
          accepted === null || unanswered === true || open.has(_id) ? [] : [[_id, accepted] as const],
        ),
      );
    },

    /** Writes results: the latest of each, the newest 30 as history, and what waited for them. */
    async record(entries: readonly RecordEntry[]): Promise<void> {
      for (const some of inPieces(entries)) await db.transact((session) => recordWithin(session, some));
    },

    /** The same in the caller's transaction, which is short: those of one call. */
    recordWithin,

    async records(account: string, filter: RecordFilter, page: PageRequest): Promise<Page<PushRecordDoc>> {
      const after = page.after === null ? {} : { _id: { $gt: page.after } };
      const rows = await models.pushRecords
        .find({ ...conditions(account, filter), ...after })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** All of them, read by a cursor a piece at a time. */
    async *everyRecord(account: string, filter: RecordFilter): AsyncGenerator<PushRecordDoc> {
      const cursor = models.pushRecords
        .find(conditions(account, filter))
        .sort({ _id: 1 })
        .lean()
        .cursor({ batchSize: 500 });
      for await (const row of cursor) yield row as PushRecordDoc;
    },

    /** The newest results of one SKU in one store, newest first; at most 30 days back. */
    async history(
      account: string,
      filter: { kind: PushRecordDoc['kind']; sku: string; store?: string; distributor?: string },
    ): Promise<PushHistory[]> {
      const rows = await models.pushRecords
        .find({ account, ...filter })
        .limit(200)
        .lean();
      const slots = Array.from({ length: HISTORY_LENGTH }, (_, slot) => slot);
      const idsOf = (record: string) => slots.map((slot) => historyId(record, slot));
      const kept = await models.pushHistory.find({ _id: { $in: rows.flatMap(({ _id }) => idsOf(_id)) } }).lean();
      const byId = new Map(kept.map((one) => [one._id, one]));
      // The database takes away what is too old, but not at once.
      const oldest = new Date(now().getTime() - HISTORY_MS);
      return rows.map((row) => ({
        ...row,
        history: idsOf(row._id)
          .flatMap((id) => byId.get(id) ?? [])
          .filter(({ at }) => at >= oldest)
          .sort((one, other) => other.number - one.number),
      }));
    },
  };
}
