/** Where an account is told besides in-app, and of what. Addresses and secrets are sealed, bound to the account. */
import { randomBytes } from 'node:crypto';
import type { EventChannels, NotificationChannel } from '../../domain/notifications';
import type { Database } from '../database';
import type { NotificationSubscriptionDoc } from '../models/documents';

/** How long calls are signed with the secret before, too, after a rotation. Milliseconds. */
const OVERLAP_MS = 24 * 60 * 60 * 1000;
const SECRET_BYTES = 32;

export interface Subscriptions {
  readonly email: { readonly address: string } | null;
  readonly https: { readonly url: string } | null;
  readonly secretMadeAt: Date | null;
  readonly events: EventChannels;
  readonly updatedAt: Date | null;
}

export interface SubscriptionChange {
  readonly email: { readonly address: string } | null;
  readonly https: { readonly url: string; readonly rotateSecret?: boolean | undefined } | null;
  readonly events: EventChannels;
}

export type DeliveryTarget =
  | { readonly channel: 'email'; readonly address: string }
  /** The newest secret first. */
  | { readonly channel: 'https'; readonly url: string; readonly secrets: readonly string[] };

type Https = NonNullable<NotificationSubscriptionDoc['https']>;

const contextOf = (account: string, what: 'email' | 'url' | 'secret') => `${account}/notification-${what}`;

export function createSubscriptionRepository(db: Database) {
  const { models, cipher, now } = db;

  function plainOf(account: string, row: NotificationSubscriptionDoc | null): Subscriptions {
    return {
      email: row?.email ? { address: cipher.open(row.email, contextOf(account, 'email')) } : null,
      https: row?.https ? { url: cipher.open(row.https.url, contextOf(account, 'url')) } : null,
      secretMadeAt: row?.https?.secretMadeAt ?? null,
      events: row?.events ?? {},
      updatedAt: row?.updatedAt ?? null,
    };
  }

  /** The endpoint with its secret: a new one where there was none or it is rotated, else the one it has. */
  function httpsOf(account: string, before: Https | null, change: NonNullable<SubscriptionChange['https']>) {
    const at = now();
    const url = cipher.seal(change.url, contextOf(account, 'url'));
    if (before && !change.rotateSecret) return { https: { ...before, url }, secret: null };
    const secret = `whsec_${randomBytes(SECRET_BYTES).toString('base64')}`;
    const https: Https = {
      url,
      secret: cipher.seal(secret, contextOf(account, 'secret')),
      secretMadeAt: at,
      previousSecret: before?.secret ?? null,
      previousUntil: before ? new Date(at.getTime() + OVERLAP_MS) : null,
    };
    return { https, secret };
  }

  return {
    async get(account: string): Promise<Subscriptions> {
      return plainOf(account, await models.notificationSubscriptions.findById(account).lean());
    },

    /** Replaces them all. @returns them, and the endpoint's secret where one was made now: it is shown only here */
    async put(account: string, change: SubscriptionChange): Promise<Subscriptions & { secret: string | null }> {
      return db.transact(async (session) => {
        const before = await models.notificationSubscriptions.findById(account, null, { session }).lean();
        const { https, secret } = change.https
          ? httpsOf(account, before?.https ?? null, change.https)
          : { https: null, secret: null };
        const row: NotificationSubscriptionDoc = {
          _id: account,
          email: change.email ? cipher.seal(change.email.address, contextOf(account, 'email')) : null,
          https,
          events: change.events,
          updatedAt: now(),
        };
        await models.notificationSubscriptions.collection.replaceOne({ _id: account } as never, row as never, {
          upsert: true,
          session,
        });
        return { ...plainOf(account, row), secret };
      });
    },

    /** Where a channel of an account leads to now; null where it has none. */
    async targetOf(account: string, channel: NotificationChannel): Promise<DeliveryTarget | null> {
      const row = await models.notificationSubscriptions.findById(account).lean();
      if (channel === 'email')
        return row?.email ? { channel, address: cipher.open(row.email, contextOf(account, 'email')) } : null;
      if (!row?.https) return null;
      const { url, secret, previousSecret, previousUntil } = row.https;
      const isOverlap = previousSecret !== null && previousUntil !== null && previousUntil > now();
      const sealed = isOverlap ? [secret, previousSecret] : [secret];
      return {
        channel,
        url: cipher.open(url, contextOf(account, 'url')),
        secrets: sealed.map((one) => cipher.open(one, contextOf(account, 'secret'))),
      };
    },
  };
}
