/** Incoming platform pushes, stored before they are answered; and the answers kept for idempotency keys. */
import { createHash } from 'node:crypto';
import { newId } from '../../domain/ids';
import { type Database, isDuplicateKey } from '../database';
import type { InboxDoc } from '../models/documents';

/** How long an event is kept after it was dealt with. */
const INBOX_DAYS = 30;
const DAY_MS = 86_400_000;
/** A first request that died releases its key after this long; http-api.md. */
export const IDEMPOTENCY_LEASE_MS = 60_000;

export interface IncomingEvent {
  readonly platform: string;
  readonly shopId: string | null;
  readonly platformOrder: string | null;
  readonly dedupeKey: string;
  readonly body: string;
  /** The store it belongs to; null leaves it unrouted. */
  readonly store: { readonly id: string; readonly account: string } | null;
}

export interface KeptAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: unknown;
}

export type IdempotencyVerdict =
  /** Go on, with this command id; it is the first's where a first died. */
  | { readonly kind: 'first'; readonly command: string; readonly id: string }
  | { readonly kind: 'again'; readonly answer: KeptAnswer }
  | { readonly kind: 'reused' }
  | { readonly kind: 'running'; readonly retryAfterMs: number };

export function createInboxRepository({ models, now, cipher }: Database) {
  async function setEach(ids: readonly string[], $set: Partial<InboxDoc>): Promise<void> {
    if (ids.length === 0) return;
    await models.inbox.collection.bulkWrite(
      ids.map((_id) => ({ updateOne: { filter: { _id }, update: { $set } } })) as never,
      { ordered: false },
    );
  }

  return {
    /** Stores an event. @returns false where it was there before. */
    async put(event: IncomingEvent): Promise<boolean> {
      const _id = `${event.platform}:${event.dedupeKey}`;
      const status = event.store === null ? 'unrouted' : event.platformOrder === null ? 'ignored' : 'stored';
      const row: InboxDoc = {
        _id,
        platform: event.platform,
        shopId: event.shopId,
        account: event.store?.account ?? null,
        store: event.store?.id ?? null,
        platformOrder: event.platformOrder,
        body: cipher.seal(event.body, `${event.store?.account ?? 'unrouted'}/inbox/${_id}`),
        status,
        receivedAt: now(),
        expiresAt: status === 'stored' ? null : new Date(now().getTime() + INBOX_DAYS * DAY_MS),
      };
      try {
        await models.inbox.collection.insertOne(row as never);
        return true;
      } catch (error) {
        if (isDuplicateKey(error)) return false;
        throw error;
      }
    },

    /** Events of one order that wait to be taken in. */
    async waiting(store: string, platformOrder: string): Promise<string[]> {
      const rows = await models.inbox.find({ store, platformOrder, status: 'stored' }, { _id: 1 }).lean();
      return rows.map(({ _id }) => _id);
    },

    /** Whether one of the events came after the given time. */
    async anySince(ids: readonly string[], time: Date): Promise<boolean> {
      return (await models.inbox.exists({ _id: { $in: [...ids] }, receivedAt: { $gt: time } })) !== null;
    },

    async done(ids: readonly string[], status: 'done' | 'refused' | 'ignored'): Promise<void> {
      if (ids.length === 0) return;
      const expiresAt = new Date(now().getTime() + INBOX_DAYS * DAY_MS);
      await setEach(ids, { status, expiresAt });
    },

    /** Events that came before their shop was connected belong to its store from now on. @returns their orders */
    async route(platform: string, shopId: string, store: { id: string; account: string }): Promise<string[]> {
      const rows = await models.inbox
        .find({ platform, shopId, status: 'unrouted', platformOrder: { $ne: null } }, { platformOrder: 1 })
        .lean();
      await setEach(
        rows.map(({ _id }) => _id),
        { status: 'stored', store: store.id, account: store.account, expiresAt: null },
      );
      return [...new Set(rows.flatMap(({ platformOrder }) => platformOrder ?? []))];
    },

    /** Orders whose events were stored before the given time and not taken in. */
    async waitingSince(before: Date, limit: number): Promise<{ store: string; platformOrder: string }[]> {
      const rows = await models.inbox
        .find({ status: 'stored', receivedAt: { $lt: before } }, { store: 1, platformOrder: 1 })
        .limit(limit)
        .lean();
      const orders = new Map<string, { store: string; platformOrder: string }>();
      for (const { store, platformOrder } of rows)
        if (store !== null && platformOrder !== null) orders.set(`${store}|${platformOrder}`, { store, platformOrder });
      return [...orders.values()];
    },
  };
}

export function createIdempotencyRepository({ models, now, cipher }: Database) {
  const context = (account: string, id: string) => `${account}/answer/${id}`;
  return {
    /** Takes a key for one request of one account and route, or says what became of it. */
    async begin(input: { account: string; route: string; key: string; bodyHash: string }): Promise<IdempotencyVerdict> {
      const id = createHash('sha256').update(`${input.account}\n${input.route}\n${input.key}`).digest('hex');
      const leaseUntil = new Date(now().getTime() + IDEMPOTENCY_LEASE_MS);
      const command = newId('command');
      const expiresAt = new Date(now().getTime() + DAY_MS);
      const fresh = {
        account: input.account,
        bodyHash: input.bodyHash,
        command,
        status: 'running' as const,
        leaseUntil,
        answer: null,
        expiresAt,
      };
      try {
        await models.idempotency.create({ _id: id, ...fresh });
        return { kind: 'first', command, id };
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
      }
      const there = await models.idempotency.findById(id).lean();
      if (!there) return { kind: 'running', retryAfterMs: 1_000 };
      // The TTL index removes rows up to a minute late; an expired one counts as none.
      if (there.expiresAt <= now()) {
        const renewed = await models.idempotency.updateOne(
          { _id: id, command: there.command, expiresAt: there.expiresAt },
          { $set: fresh },
        );
        return renewed.modifiedCount === 1 ? { kind: 'first', command, id } : { kind: 'running', retryAfterMs: 1_000 };
      }
      if (there.bodyHash !== input.bodyHash) return { kind: 'reused' };
      if (there.status === 'done' && there.answer !== null)
        return {
          kind: 'again',
          answer: JSON.parse(cipher.open(there.answer, context(input.account, id))) as KeptAnswer,
        };
      const left = there.leaseUntil.getTime() - now().getTime();
      if (left > 0) return { kind: 'running', retryAfterMs: Math.min(left, 1_000) };
      const taken = await models.idempotency.updateOne(
        { _id: id, status: 'running', leaseUntil: there.leaseUntil },
        { $set: { leaseUntil } },
      );
      return taken.modifiedCount === 1
        ? { kind: 'first', command: there.command, id }
        : { kind: 'running', retryAfterMs: 1_000 };
    },

    /** Keeps the answer, sealed, for 24 hours from the first request. */
    async keep(account: string, id: string, answer: KeptAnswer): Promise<void> {
      await models.idempotency.updateOne(
        { _id: id },
        { $set: { status: 'done', answer: cipher.seal(JSON.stringify(answer), context(account, id)) } },
      );
    },

    /** Gives the key back: nothing was done (a refusal of the moment, such as 503), and the same request may be tried again. */
    async release(id: string): Promise<void> {
      await models.idempotency.updateOne({ _id: id, status: 'running' }, { $set: { leaseUntil: now() } });
    },
  };
}
