/**
 * Due marks: what a lane has to send. A change writes its marks in its own transaction, so that a process that dies
 * after it still leads to the push; the lane removes a mark only if no newer change has drawn another stamp for it.
 */
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import { parseProcessId } from '../../domain/process-ids';
import type { Database } from '../database';
import type { DueDoc, OrderDoc } from '../models/documents';
import { inPieces, writeTogether } from '../together';

export interface DueSubject {
  readonly lane: string;
  readonly account: string;
  readonly subject: string;
  readonly item: string;
  /** It falls to 0, whatever the others do. */
  readonly urgent?: boolean;
  /** Instead of the cause of all. */
  readonly cause?: string | undefined;
  /** How many changes come at once, where that is not one. */
  readonly changes?: number;
}

/** An order that alone causes a change, with the turn of the rules it keeps. */
export interface DueOrder {
  readonly id: string;
  readonly ruleTurn: number;
}

/** The same of an order; null where it was synced before rules had turns, or not at all. */
export const dueOrderOf = ({ _id, ruleTurn }: Pick<OrderDoc, '_id' | 'ruleTurn'>): DueOrder | null =>
  ruleTurn == null ? null : { id: _id, ruleTurn };

export interface DueOptions {
  readonly cause: string;
  /** A zero, or what must overtake what waits. */
  readonly urgent?: boolean;
  /** Send although the store has that quantity. */
  readonly forced?: boolean;
  /** Where nothing else has changed the listing since its last push, it is pushed under this order's rules. */
  readonly order?: DueOrder | null;
  /** The Push Now that waits for it. */
  readonly job?: string;
}

/**
 * A mark whose SKU only that order changed keeps the order; any other change takes it away.
 * @param there the mark that waits already
 */
function marking(
  _id: string,
  subject: DueSubject,
  options: DueOptions,
  at: Date,
  there: Pick<DueDoc, 'order'> | undefined,
) {
  const { order = null, job } = options;
  const { lane, account, subject: of, item } = subject;
  const isAlone = order !== null && (there === undefined || there.order === order.id);
  const update = {
    $inc: { changes: subject.changes ?? 1 },
    $set: {
      cause: subject.cause ?? options.cause,
      failed: false,
      tries: 0,
      stamp: newId('command'),
      ...(isAlone ? {} : { order: null, ruleTurn: null }),
    },
    $max: { urgent: (options.urgent ?? false) || (subject.urgent ?? false), forced: options.forced ?? false },
    ...(job === undefined ? {} : { $addToSet: { jobs: job } }),
    $setOnInsert: {
      ...{ lane, account, subject: of, item, since: at },
      ...(isAlone ? { order: order.id, ruleTurn: order.ruleTurn } : {}),
    },
  };
  return { updateOne: { filter: { _id }, update, upsert: true } };
}

/** The marks of a lane in the order in which they are sent, a batch at a time. */
export interface DueReader {
  /** The next marks, as they are now: zeros first, then the oldest. Empty: nothing is due. */
  next(): Promise<DueDoc[]>;
}

/** Marks whose order is read at once. What a lane waits with is looked through once for all of them, not for each batch (ADR 4). */
const AHEAD = 2_000;
const ORDER = { urgent: -1, since: 1 } as const;

/**
 * Only the order is read ahead: each batch's marks are read when it is their turn, and zeros that have come are asked for
 * before it, which their index answers at once.
 * @param size the most marks of a batch
 * @param sameItem all of a batch belong to one item
 */
function createReader({ models }: Database, lane: string, size: number, sameItem: boolean): DueReader {
  /** Items, or ids of marks, that come next. */
  let ahead: string[] = [];
  const due = { lane, failed: false };

  async function lookAhead(): Promise<void> {
    const rows = await models.dues.find(due, { item: 1 }).sort(ORDER).limit(AHEAD).lean();
    ahead = [...new Set(rows.map(({ _id, item }) => (sameItem ? item : _id)))];
  }

  /** Marks of the item that comes first. It stays the first while a batch does not hold them all. */
  async function ofItem(item: string): Promise<DueDoc[]> {
    const rows = await models.dues
      .find({ ...due, item })
      .sort(ORDER)
      .limit(size + 1)
      .lean();
    ahead = ahead.filter((one) => one !== item);
    if (rows.length > size) ahead.unshift(item);
    return rows.slice(0, size);
  }

  async function ofIds(zeros: readonly string[]): Promise<DueDoc[]> {
    const first = new Set(zeros);
    ahead = ahead.filter((id) => !first.has(id));
    const ids = [...zeros, ...ahead.splice(0, size - zeros.length)];
    const rows = await models.dues.find({ _id: { $in: ids } }).lean();
    const there = new Map(rows.map((row) => [row._id, row]));
    return ids.flatMap((id) => there.get(id) ?? []).filter(({ failed }) => !failed);
  }

  return {
    async next() {
      const zeros = await models.dues
        .find({ ...due, urgent: true }, { item: 1 })
        .sort({ since: 1 })
        .limit(size)
        .lean();
      for (;;) {
        if (zeros.length + ahead.length === 0) await lookAhead();
        const item = zeros[0]?.item ?? ahead[0];
        if (item === undefined) return [];
        const first = zeros.splice(0).map(({ _id }) => _id);
        const batch = sameItem ? await ofItem(item) : await ofIds(first);
        if (batch.length > 0) return batch;
        // Somebody else has sent them, or set them aside: on to the next ones.
      }
    },
  };
}

export function createDueRepository(db: Database) {
  const { models, now, transact } = db;
  /**
   * Marks as they are now. Read by their ids alone and compared by the caller: conditions beside the id make the embedded
   * engine read the collection (ADR 4).
   */
  async function nowOf(session: ClientSession, dues: readonly Pick<DueDoc, '_id'>[]) {
    const ids = dues.map(({ _id }) => _id);
    const rows = await models.dues
      .find({ _id: { $in: ids } }, { stamp: 1, changes: 1, order: 1, jobs: 1 })
      .session(session)
      .lean();
    return new Map(rows.map((row) => [row._id, row]));
  }

  /** Removes marks that are still as they were read; of those that are not, takes off what was recorded. */
  async function settleWithin(
    session: ClientSession,
    dues: readonly Pick<DueDoc, '_id' | 'stamp' | 'changes' | 'jobs'>[],
  ): Promise<void> {
    if (dues.length === 0) return;
    const there = await nowOf(session, dues);
    const done = dues.flatMap(({ _id, stamp }) => (there.get(_id)?.stamp === stamp ? [_id] : []));
    const others = dues.flatMap(({ _id, stamp, changes, jobs = [] }): object[] => {
      const row = there.get(_id);
      // At least as many as were read: never below 0, whatever became of it.
      if (row === undefined || row.stamp === stamp || row.changes <= changes) return [];
      const update = {
        $inc: { changes: -changes },
        // Only Push Nows force: those that waited have their answer, and the change since is one like any other.
        $set: { calls: 0, forced: (row.jobs ?? []).some((job) => !jobs.includes(job)) },
        ...(jobs.length === 0 ? {} : { $pullAll: { jobs } }),
      };
      return [{ updateOne: { filter: { _id }, update } }];
    });
    if (done.length > 0) await models.dues.deleteMany({ _id: { $in: done } }, { session });
    await writeTogether(db, models.dues.collection, others, session);
  }

  /** The same change of the marks that are still as they were read. */
  async function changeUnmoved(dues: readonly Pick<DueDoc, '_id' | 'stamp'>[], update: object): Promise<void> {
    for (const some of inPieces(dues))
      await transact(async (session) => {
        const there = await nowOf(session, some);
        const ids = some.flatMap(({ _id, stamp }) => (there.get(_id)?.stamp === stamp ? [_id] : []));
        if (ids.length > 0) await models.dues.updateMany({ _id: { $in: ids } }, update, { session });
      });
  }

  return {
    /**
     * Marks the subjects as due, in the caller's transaction; with an order there must be one.
     * @returns the lanes to wake after the commit
     */
    async mark(session: ClientSession | null, subjects: readonly DueSubject[], options: DueOptions): Promise<string[]> {
      if (subjects.length === 0) return [];
      const at = now();
      const marks = subjects.map((subject) => ({ _id: `${subject.lane}|${subject.subject}`, subject }));
      const there = session && options.order ? await nowOf(session, marks) : new Map<string, DueDoc>();
      await models.dues.collection.bulkWrite(
        marks.map(({ _id, subject }) => marking(_id, subject, options, at, there.get(_id))) as never,
        { ordered: true, ...(session ? { session } : {}) },
      );
      return [...new Set(subjects.map(({ lane }) => lane))];
    },

    /** Reads a lane's marks for as long as somebody sends them. */
    reader: (lane: string, size: number, sameItem = false): DueReader => createReader(db, lane, size, sameItem),

    /**
     * Removes the marks that are still as they were read. A newer change stays due; what was recorded of the mark before it
     * is not counted again. Without a session in a transaction of its own: one wait for the disk, not one for each.
     */
    async settle(
      session: ClientSession | null,
      dues: readonly Pick<DueDoc, '_id' | 'stamp' | 'changes' | 'jobs'>[],
    ): Promise<void> {
      if (dues.length === 0) return;
      if (session) return settleWithin(session, dues);
      for (const some of inPieces(dues)) await transact((own) => settleWithin(own, some));
    },

    /** What the platform asked to try again goes to the back of its lane, so that it holds up nothing else. */
    async postpone(dues: readonly Pick<DueDoc, '_id' | 'stamp'>[]): Promise<void> {
      await changeUnmoved(dues, { $inc: { tries: 1, calls: 1 }, $set: { since: now() } });
    },

    /** A call that carried these brought no result: the records tell how many it took. */
    async unanswered(dues: readonly Pick<DueDoc, '_id'>[]): Promise<void> {
      const ids = dues.map(({ _id }) => _id);
      for (const some of inPieces(ids))
        await transact(async (session) => {
          await models.dues.updateMany({ _id: { $in: [...some] } }, { $inc: { calls: 1 } }, { session });
        });
    },

    async waiting(lane: string): Promise<number> {
      return models.dues.countDocuments({ lane, failed: false });
    },

    /** Everything a lane has to send. */
    async all(lane: string): Promise<DueDoc[]> {
      return models.dues.find({ lane, failed: false }).lean();
    },

    /** Sets aside what a lane could not send, until the next change of it. */
    async setAside(dues: readonly Pick<DueDoc, '_id' | 'stamp'>[]): Promise<void> {
      await changeUnmoved(dues, { $set: { failed: true, forced: false, jobs: [], calls: 0 } });
    },

    /** Lanes with marks older than the given time: their workflow should be running. Those of disconnected stores have none. */
    async lanesWaitingSince(before: Date): Promise<string[]> {
      const lanes: string[] = await models.dues.distinct('lane', { failed: false, since: { $lt: before } });
      const storeOf = (lane: string) => parseProcessId(lane)?.parts.store;
      const stores = lanes.flatMap((lane) => storeOf(lane) ?? []);
      const rows = await models.stores.find({ _id: { $in: stores } }, { status: 1 }).lean();
      const disconnected = new Set(rows.flatMap(({ _id, status }) => (status === 'disconnected' ? [_id] : [])));
      return lanes.filter((lane) => !disconnected.has(storeOf(lane) ?? ''));
    },
  };
}
