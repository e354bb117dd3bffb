/**
 * The chain of audit rows. Each row's hash is SHA-256 over the hash of the row before it and the row's own canonical JSON,
 * so that whoever knows one hash can tell every row up to it. Contract: docs/audit-log.md.
 */
import { createHash } from 'node:crypto';
import type { AuditEntry } from '../domain/audit';
import { canonical } from '../domain/canonical';
import type { AuditRowDoc } from './models/documents';

/** What the first row continues. */
export const GENESIS = '0'.repeat(64);

/** The action of a row by which the hub says that it found the head changed by somebody else. */
export const HEAD_CHANGED = 'audit.head-changed';

/** A place in the chain: so many rows, the last with this hash. */
export interface ChainHead {
  readonly count: number;
  readonly hash: string;
}

/** The hash of a row at a place of the chain. Reads what the row says and nothing else of it. */
function rowHash(seq: number, prev: string, row: Omit<AuditRowDoc, '_id' | 'prev' | 'hash'>): string {
  const content = {
    seq,
    id: row.id,
    at: row.at instanceof Date ? row.at.toISOString() : { not: 'a time' },
    account: row.account,
    actor: row.actor,
    action: row.action,
    route: row.route,
    objects: row.objects,
    request: row.request,
    command: row.command,
    address: row.address,
    outcome: row.outcome,
    status: row.status,
    code: row.code,
    before: row.before,
    after: row.after,
  };
  return createHash('sha256')
    .update(`${prev}\n${canonical(content)}`)
    .digest('hex');
}

/** The entries as rows that continue the chain. */
export function chainOn(head: ChainHead, entries: readonly AuditEntry[]): AuditRowDoc[] {
  let { count, hash } = head;
  return entries.map((entry) => {
    const fields = {
      id: entry.id,
      at: new Date(entry.at),
      account: entry.account,
      actor: { kind: entry.actor.kind, id: entry.actor.id, name: entry.actor.name },
      action: entry.action,
      route: entry.route,
      objects: [...entry.objects],
      request: entry.request,
      command: entry.command,
      address: entry.address,
      outcome: entry.outcome,
      status: entry.status,
      code: entry.code,
      before: entry.before,
      after: entry.after,
    };
    const prev = hash;
    count += 1;
    hash = rowHash(count, prev, fields);
    return { _id: count, ...fields, prev, hash };
  });
}

export const DAMAGES = ['altered', 'inserted', 'removed', 'reordered', 'cut_off', 'head'] as const;
export interface Damage {
  readonly kind: (typeof DAMAGES)[number];
  /** The row's place in the chain; for `inserted` it may be a text that is no place at all. */
  readonly row: number | string;
  /** For several rows in a row: the last. */
  readonly to?: number;
  readonly detail: string;
}

export interface Verdict {
  readonly ok: boolean;
  /** How many rows were looked at. */
  readonly rows: number;
  readonly head: ChainHead;
  /** In the order of the chain; the first is the first row that is not as it was. */
  readonly damages: readonly Damage[];
  /** There were more than are named. */
  readonly more: number;
}

const FIELDS = new Set(
  (
    '_id id at account actor action route objects request command address outcome status code before after ' +
    'prev hash'
  ).split(' '),
);
const hasOwnFields = (row: object) => Object.keys(row).every((name) => FIELDS.has(name));

/** Rows that do not have their hash, kept to see whether they stood elsewhere. */
const SUSPECTS_MOST = 200;
/** Damages named one by one; a destroyed log would make a list as long as itself. */
const NAMED_MOST = 1_000;

/** A place in the chain that is known from elsewhere. */
export interface KnownHead extends ChainHead {
  readonly from: string;
}

/**
 * Walks the rows in the order of their places and compares each with what it says of itself, with the one before it and
 * with the known heads. Feed it with `see`, then `end`.
 */
export function createChainWalk(known: readonly KnownHead[], inFlight: ReadonlySet<number>) {
  const damages: Damage[] = [];
  const suspects: AuditRowDoc[] = [];
  let more = 0;
  let rows = 0;
  /** The last place seen, and the hash stored there. */
  let last: ChainHead = { count: 0, hash: GENESIS };
  let isLastSound = true;
  const heads = [...known].filter(({ count }) => count > 0).sort((a, b) => a.count - b.count);
  let nextHead = 0;

  function note(damage: Damage): void {
    if (damages.length < NAMED_MOST) damages.push(damage);
    else more += 1;
  }

  /** Rows that are not there: before a row that is (`removed`), or at the end (`cut_off`). */
  function missing(kind: 'removed' | 'cut_off', from: number, to: number, detail: string): void {
    for (let at = from; at <= to; ) {
      if (inFlight.has(at)) {
        at += 1;
        continue;
      }
      let end = at;
      while (end < to && !inFlight.has(end + 1)) end += 1;
      note({ kind, row: at, ...(end > at ? { to: end } : {}), detail });
      at = end + 1;
    }
  }

  const isNamed = (row: number) => damages.at(-1)?.row === row && damages.at(-1)?.kind === 'altered';

  function compareHeads(count: number, hash: string): void {
    for (let head = heads[nextHead]; head !== undefined && head.count <= count; head = heads[nextHead]) {
      nextHead += 1;
      if (head.count !== count || head.hash === hash || isNamed(count)) continue;
      const detail = `its hash is not the one of the ${head.from}: it or rows before it were changed with their hashes`;
      note({ kind: 'altered', row: count, detail });
    }
  }

  return {
    /** The next row, by `_id`; numbers come first. */
    see(row: AuditRowDoc): void {
      rows += 1;
      const seq: unknown = row._id;
      if (typeof seq !== 'number' || !Number.isSafeInteger(seq) || seq < 1) {
        note({ kind: 'inserted', row: String(seq), detail: 'it has no place in the chain' });
        return;
      }
      const isNext = seq === last.count + 1;
      if (!isNext) missing('removed', last.count + 1, seq - 1, 'the chain has a gap');
      const isSound = hasOwnFields(row) && rowHash(seq, String(row.prev), row) === row.hash;
      if (!isSound) {
        note({ kind: 'altered', row: seq, detail: 'it does not have its hash' });
        if (suspects.length < SUSPECTS_MOST) suspects.push(row);
      }
      // A row that was changed together with its hash is found by the one after it.
      else if (isNext && row.prev !== last.hash && isLastSound)
        note(
          last.count === 0
            ? { kind: 'altered', row: seq, detail: 'it is not the first row of this chain' }
            : { kind: 'altered', row: last.count, detail: 'the next row continues another one' },
        );
      if (row.action === HEAD_CHANGED)
        note({ kind: 'head', row: seq, detail: 'here the hub found that the head had been changed' });
      last = { count: seq, hash: row.hash };
      isLastSound = isSound;
      compareHeads(seq, row.hash);
    },
    /** After the last row. @param head where the chain should end */
    end(head: ChainHead): Verdict {
      const expected = Math.max(head.count, ...heads.map(({ count }) => count));
      if (last.count < expected) {
        const from = heads.slice(nextHead).find(({ count }) => count > last.count)?.from ?? 'head';
        missing('cut_off', last.count + 1, expected, `the ${from} says there were ${expected} rows`);
      }
      const places = damages.flatMap(({ row }) => (typeof row === 'number' ? [row] : []));
      const named = damages.map((damage) => movedFrom(damage, suspects, places) ?? damage);
      return { ok: named.length === 0, rows, head, damages: named, more };
    },
    note,
  };
}

/** A row that does not have its hash where it stands, but has it at another damaged place, was moved. */
function movedFrom(damage: Damage, suspects: readonly AuditRowDoc[], places: readonly number[]): Damage | null {
  const row = damage.kind === 'altered' ? suspects.find(({ _id }) => _id === damage.row) : undefined;
  const home =
    row &&
    places.slice(0, SUSPECTS_MOST).find((place) => place !== row._id && rowHash(place, row.prev, row) === row.hash);
  return home === undefined ? null : { ...damage, kind: 'reordered', detail: `it is row ${home}` };
}
