/**
 * The audit log: rows that are only ever inserted, chained by hashes. Contract: docs/audit-log.md.
 *
 * The head moves first, in one guarded update that carries the new rows with it (`pending`); then they are inserted. So
 * several processes append side by side without gaps, no transaction holds the head for others to wait on, and a process that
 * dies in between leaves nothing that the next one can't complete.
 */
import { setTimeout as pause } from 'node:timers/promises';
import type { QueryFilter } from 'mongoose';
import type { AuditActor, AuditEntry, AuditIntent } from '../../domain/audit';
import { newId } from '../../domain/ids';
import {
  type ChainHead,
  chainOn,
  createChainWalk,
  GENESIS,
  HEAD_CHANGED,
  type KnownHead,
  type Verdict,
} from '../audit-chain';
import { type Database, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { AuditHeadDoc, AuditIntentDoc, AuditRowDoc } from '../models/documents';

const HEAD = 'chain';
const SEAL_CONTEXT = 'audit/head';
/** Entries of one group, and about as many bytes: the head carries them. */
const GROUP_MOST = 200;
const GROUP_BYTES = 1_000_000;
/** Entries that wait while the database is away; more are left to their intents. */
const WAITING_MOST = 10_000;
/** How long one group is tried, with growing waits between. Milliseconds. */
const TRY_FOR_MS = 60_000;
const FIRST_WAIT_MS = 20;
const LONGEST_WAIT_MS = 2_000;
/** Entries of a dead process taken up at once. */
const LEFT_AT_ONCE = 1_000;
/** A head this old has no process that is about to insert its rows. Milliseconds. */
const HEAD_AT_REST_MS = 10_000;

export interface AuditFilter {
  readonly account?: string;
  readonly object?: string;
  readonly action?: string;
  /** An API key's id, or a kind of actor. */
  readonly actor?: string;
  readonly from?: Date;
  readonly to?: Date;
}

interface Waiting {
  readonly entry: AuditEntry;
  readonly done: () => void;
  readonly failed: (error: unknown) => void;
}

export function createAuditRepository(db: Database) {
  const { models, now, cipher } = db;
  const waiting: Waiting[] = [];
  let writer: Promise<void> | null = null;
  /** The head as this process left it, its rows inserted; null where that is not known. */
  let known: ChainHead | null = null;
  /** The furthest this process has seen the chain. */
  let furthest = 0;

  const sealOf = ({ count, hash }: ChainHead) => cipher.seal(`${count}:${hash}`, SEAL_CONTEXT);
  const nothingYet = { count: 0, hash: GENESIS };

  /** Inserts the rows that are not there yet. */
  async function insertMissing(rows: readonly AuditRowDoc[]): Promise<void> {
    if (rows.length === 0) return;
    try {
      await models.auditRows.collection.insertMany(rows as never, { ordered: false });
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
    }
  }

  /** The head as it is stored, made where there is none, with all that it counts inserted. */
  async function readHead(): Promise<AuditHeadDoc> {
    for (;;) {
      const head = await models.auditHeads.findById(HEAD).lean();
      if (head) {
        await insertMissing(head.pending);
        return head;
      }
      const first = { _id: HEAD, ...nothingYet, seal: sealOf(nothingYet), pending: [], at: now() };
      await models.auditHeads.collection.insertOne(first as never).catch((error: unknown) => {
        if (!isDuplicateKey(error)) throw error;
      });
    }
  }

  /** Which of the entries are in the chain already: a try whose answer was lost, or a repeat. */
  async function chained(entries: readonly AuditEntry[]): Promise<Set<string>> {
    const rows = await models.auditRows.find({ id: { $in: entries.map(({ id }) => id) } }, { id: 1 }).lean();
    return new Set(rows.map(({ id }) => id));
  }

  /** Moves the head by these entries and inserts them. @param mayBeThere some may be chained already */
  async function appendGroup(given: readonly AuditEntry[], mayBeThere: boolean): Promise<void> {
    let entries = given;
    if (mayBeThere) known = null;
    for (let isFirst = true; entries.length > 0; isFirst = false) {
      const stored = known === null ? await readHead() : null;
      const head: ChainHead = stored ?? known ?? nothingYet;
      const isForged = stored !== null && (!isSealed(stored) || stored.count < furthest);
      if (mayBeThere && isFirst) {
        const there = await chained(entries);
        entries = entries.filter(({ id }) => !there.has(id));
        if (entries.length === 0) return;
      }
      // Going on from a head that somebody else wrote would hide it: the chain itself tells of it from here on.
      const rows = chainOn(head, isForged ? [forgedHead(head, now()), ...entries] : entries);
      const last = rows.at(-1) as AuditRowDoc;
      const next: ChainHead = { count: last._id, hash: last.hash };
      known = null;
      const { matchedCount } = await models.auditHeads.collection.updateOne(
        { _id: HEAD, count: head.count, hash: head.hash } as never,
        { $set: { ...next, seal: sealOf(next), pending: rows, at: now() } },
      );
      if (matchedCount === 0) continue;
      await insertMissing(rows);
      known = next;
      furthest = next.count;
      return;
    }
  }

  async function removeIntents(ids: readonly string[]): Promise<void> {
    if (ids.length === 0) return;
    const removals = ids.map((_id) => ({ deleteOne: { filter: { _id } } }));
    await models.auditIntents.collection.bulkWrite(removals as never, { ordered: false });
  }

  /** What is over is tidied when nobody waits for it: intents that became rows, and the head's copy of them. */
  async function tidy(entries: readonly AuditEntry[]): Promise<void> {
    await removeIntents(entries.map(({ id }) => id));
    if (known !== null && waiting.length === 0)
      await models.auditHeads.collection.updateOne({ _id: HEAD, count: known.count, hash: known.hash } as never, {
        $set: { pending: [] },
      });
  }

  function takeGroup(): Waiting[] {
    let bytes = 0;
    const end = waiting.findIndex(({ entry }, index) => {
      bytes += 500 + 40 * entry.objects.length + (entry.before?.length ?? 0) + (entry.after?.length ?? 0);
      return index === GROUP_MOST || (index > 0 && bytes > GROUP_BYTES);
    });
    return waiting.splice(0, end === -1 ? waiting.length : end);
  }

  async function write(): Promise<void> {
    while (waiting.length > 0) {
      const group = takeGroup();
      const entries = group.map(({ entry }) => entry);
      const end = Date.now() + TRY_FOR_MS;
      for (let wait = FIRST_WAIT_MS, isAgain = false; ; wait = Math.min(wait * 2, LONGEST_WAIT_MS), isAgain = true)
        try {
          await appendGroup(entries, isAgain);
          for (const { done } of group) done();
          // What fails here is found by the sweep.
          await tidy(entries).catch(() => {});
          break;
        } catch (error) {
          known = null;
          if (Date.now() + wait > end) {
            for (const { failed } of group) failed(error);
            break;
          }
          await pause(wait, undefined, { ref: false });
        }
    }
  }

  /** Chains an entry. Whatever gathers while others are written goes with the next group. */
  function append(entry: AuditEntry): Promise<void> {
    if (waiting.length >= WAITING_MOST) return Promise.reject(new Error('Too many audit rows wait to be written'));
    const written = new Promise<void>((done, failed) => waiting.push({ entry, done, failed }));
    writer ??= write().finally(() => {
      writer = null;
    });
    return written;
  }

  /** The chain's end, from the head that is kept apart. */
  async function head(): Promise<ChainHead> {
    const { count, hash } = await readHead();
    return { count, hash };
  }

  function filterOf(filter: AuditFilter): QueryFilter<AuditRowDoc> {
    const { account, object, action, actor, from, to } = filter;
    return {
      ...(account === undefined ? {} : { account }),
      ...(object === undefined ? {} : { objects: object }),
      ...(action === undefined ? {} : { action }),
      ...(actor === undefined ? {} : { $or: [{ 'actor.id': actor }, { 'actor.kind': actor as AuditActor['kind'] }] }),
      ...(from === undefined && to === undefined
        ? {}
        : { at: { ...(from === undefined ? {} : { $gte: from }), ...(to === undefined ? {} : { $lt: to }) } }),
    };
  }

  return {
    append,
    head,

    /** Chains an entry whose id is made from what it is about: the second time is a no-op. */
    async appendOnce(entry: AuditEntry): Promise<void> {
      if ((await chained([entry])).size === 0) await append(entry);
    },

    /** Writes down what is about to be done, so that it is not lost with its process. */
    async begin(intent: AuditIntent): Promise<void> {
      const row: AuditIntentDoc = { _id: intent.id, at: new Date(intent.at), intent: JSON.stringify(intent) };
      await models.auditIntents.collection.insertOne(row as never);
    },

    /** Takes an intent back that was refused and leaves no row. */
    async drop(id: string): Promise<void> {
      await models.auditIntents.deleteOne({ _id: id });
    },

    /** Waits until what was given so far is written, or given up. */
    async flush(): Promise<void> {
      await writer;
    },

    /** Intents that became no row since the given time are chained with the outcome `unknown`. @returns how many */
    async takeUp(before: Date): Promise<number> {
      const { count, hash, pending, at } = await readHead();
      // Their process died before it could tidy up.
      if (pending.length > 0 && now().getTime() - at.getTime() > HEAD_AT_REST_MS)
        await models.auditHeads.collection.updateOne({ _id: HEAD, count, hash } as never, { $set: { pending: [] } });
      const left = await models.auditIntents
        .find({ at: { $lt: before } })
        .sort({ at: 1, _id: 1 })
        .limit(LEFT_AT_ONCE)
        .lean();
      const nothing = { outcome: 'unknown', status: null, code: null, after: null } as const;
      const entries = left.map(({ intent }): AuditEntry => ({ ...(JSON.parse(intent) as AuditIntent), ...nothing }));
      const there = await chained(entries);
      await Promise.all(entries.filter(({ id }) => !there.has(id)).map(append));
      await removeIntents([...there]);
      return entries.length - there.size;
    },

    /**
     * Keeps the first head of the day (UTC), told before: a process that dies in between tells it twice, never not at all.
     * @returns it, to the one who kept it
     */
    async keepDailyHead(tell: (head: ChainHead) => void = () => {}): Promise<ChainHead | null> {
      const day = now().toISOString().slice(0, 10);
      if (await models.auditDailyHeads.exists({ _id: day })) return null;
      const end = await head();
      tell(end);
      try {
        await models.auditDailyHeads.collection.insertOne({ _id: day, ...end, at: now() } as never);
        return end;
      } catch (error) {
        if (isDuplicateKey(error)) return null;
        throw error;
      }
    },

    /** Rows, newest first. */
    async list(filter: AuditFilter, page: PageRequest): Promise<Page<AuditRowDoc>> {
      const after: QueryFilter<AuditRowDoc> = page.after === null ? {} : { _id: { $lt: Number(page.after) } };
      const rows = await models.auditRows
        .find({ $and: [filterOf(filter), after] })
        .sort({ _id: -1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, (row) => String(row._id));
    },

    /**
     * Reads the whole log, recomputes it and compares it with the head, the daily heads and the given ones.
     * @param given heads from elsewhere, e.g. from a log file
     */
    async verify(given: readonly ChainHead[] = []): Promise<Verdict> {
      // The daily ones first: one that is kept while this reads is never ahead of the head it is compared with.
      const daily = await models.auditDailyHeads.find().sort({ _id: 1 }).lean();
      const stored = await models.auditHeads.findById(HEAD).lean();
      const start: ChainHead = stored ?? nothingYet;
      const heads: KnownHead[] = [
        ...given.map((one) => ({ ...one, from: 'given head' })),
        ...daily.map(({ _id, count, hash }) => ({ count, hash, from: `head of ${_id}` })),
        { count: start.count, hash: start.hash, from: 'head' },
      ];
      const inFlight = isMoving(stored, now()) ? (stored?.pending ?? []) : [];
      const walk = createChainWalk(heads, new Set(inFlight.map(({ _id }) => _id)));
      if (stored && !isSealed(stored))
        walk.note({
          kind: 'head',
          row: stored.count,
          detail: 'the head was not written by the hub: its seal is wrong',
        });
      const beyond: number[] = [];
      for await (const row of models.auditRows.collection.find().sort({ _id: 1 })) {
        const one = row as unknown as AuditRowDoc;
        if (typeof one._id === 'number' && one._id > start.count) beyond.push(one._id);
        else walk.see(one);
      }
      // Rows follow the head: what is beyond one that is read after them was not put there by the hub.
      const end = (await models.auditHeads.findById(HEAD).lean())?.count ?? 0;
      for (const row of beyond)
        if (row > end) walk.note({ kind: 'inserted', row, detail: 'the head counts fewer rows' });
      return walk.end(start);
    },
  };

  function isSealed({ count, hash, seal }: AuditHeadDoc): boolean {
    try {
      return cipher.open(seal, SEAL_CONTEXT) === `${count}:${hash}`;
    } catch {
      return false;
    }
  }
}

/** What the chain says where its end was not as the hub had left it. */
function forgedHead(found: ChainHead, at: Date): AuditEntry {
  return {
    id: newId('audit'),
    at: at.getTime(),
    account: null,
    actor: { kind: 'hub', id: null, name: null },
    action: HEAD_CHANGED,
    route: '',
    objects: [],
    request: null,
    command: null,
    address: null,
    before: null,
    outcome: 'done',
    status: null,
    code: null,
    after: JSON.stringify({ count: found.count, hash: found.hash }),
  };
}

/** Whether a process may be about to insert the rows that the head counts. */
function isMoving(head: AuditHeadDoc | null, at: Date): boolean {
  return head !== null && head.pending.length > 0 && at.getTime() - head.at.getTime() < HEAD_AT_REST_MS;
}
