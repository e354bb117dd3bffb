/** Accounts, API keys and monthly order quotas. */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { ClientSession } from 'mongoose';
import { PERMISSIONS, type Permission, type Plan, quotaMonth } from '../../domain/accounts';
import { idFor } from '../../domain/ids';
import { type Database, found } from '../database';
import type { AccountDoc, ApiKeyDoc } from '../models/documents';

export interface Caller {
  readonly account: string;
  readonly key: string;
  readonly keyName: string;
  readonly permissions: readonly Permission[];
}

const hashOf = (secret: string) => createHash('sha256').update(secret).digest('hex');

export interface Quota {
  readonly used: number;
  /** Null is without limit. */
  readonly limit: number | null;
}

export function createAccountRepository(db: Database) {
  const { models, now } = db;

  async function addKey(
    session: ClientSession | null,
    account: string,
    input: { name: string; permissions: readonly Permission[] },
    command?: string,
  ) {
    const id = idFor('apiKey', command);
    const secret = randomBytes(32).toString('base64url');
    const row: ApiKeyDoc = {
      _id: id,
      account,
      name: input.name,
      hash: hashOf(secret),
      permissions: [...input.permissions],
      createdAt: now(),
      revokedAt: null,
    };
    // A repeated command whose first answer was lost: nobody saw that secret, so a new one takes its place.
    await models.apiKeys.replaceOne({ _id: row._id, account }, row, {
      upsert: true,
      ...(session ? { session } : {}),
    });
    return { row, key: `tl.${id}.${secret}` };
  }

  /** The accounts' limits per month. */
  async function quotaLimits(accounts: readonly string[]): Promise<Map<string, number | null>> {
    const rows = await models.accounts.find({ _id: { $in: [...accounts] } }, { orderQuota: 1 }).lean();
    return new Map(rows.map(({ _id, orderQuota }) => [_id, orderQuota]));
  }

  /** Orders the accounts used this month. */
  async function quotaUsed(session: ClientSession | null, accounts: readonly string[]): Promise<Map<string, number>> {
    const month = quotaMonth(now());
    const rows = await models.quotas
      .find({ _id: { $in: accounts.map((account) => `${account}:${month}`) } })
      .session(session)
      .lean();
    return new Map(rows.map(({ account, used }) => [account, used]));
  }

  return {
    /**
     * Makes an account and its first API key, which may do everything. The key is shown here and never again. The same
     * command again makes no second account.
     */
    create(input: { name: string; plan: Plan; orderQuota: number | null; command?: string }) {
      const account: AccountDoc = {
        _id: idFor('account', input.command),
        name: input.name,
        plan: input.plan,
        inventoryEnabled: false,
        orderQuota: input.orderQuota,
        createdAt: now(),
      };
      return db.transact(async (session) => {
        const { _id, ...fields } = account;
        await models.accounts.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true, session });
        const first = { name: 'first key', permissions: ['admin'] as const };
        const { key } = await addKey(session, _id, first, input.command);
        return { account, key };
      });
    },

    async get(account: string): Promise<AccountDoc> {
      return found(await models.accounts.findById(account).lean(), 'account');
    },

    async change(
      account: string,
      set: Partial<Pick<AccountDoc, 'name' | 'plan' | 'orderQuota' | 'inventoryEnabled'>>,
    ): Promise<AccountDoc> {
      return found(
        await models.accounts.findByIdAndUpdate(account, { $set: set }, { returnDocument: 'after' }).lean(),
        'account',
      );
    },

    addKey: (account: string, input: { name: string; permissions: readonly Permission[] }, command?: string) =>
      addKey(null, account, input, command),

    async keys(account: string): Promise<ApiKeyDoc[]> {
      return models.apiKeys.find({ account }).sort({ _id: 1 }).lean();
    },

    async revokeKey(account: string, key: string): Promise<void> {
      found(
        await models.apiKeys
          .findOneAndUpdate({ _id: key, account, revokedAt: null }, { $set: { revokedAt: now() } })
          .lean(),
        'API key',
      );
    },

    /** @returns who calls, or null for a key that is unknown, wrong or revoked. The secret is compared in constant time. */
    async authenticate(presented: string): Promise<Caller | null> {
      const [scheme, id, secret] = presented.split('.');
      if (scheme !== 'tl' || !id || !secret) return null;
      const row = await models.apiKeys.findById(id).lean();
      if (!row || row.revokedAt !== null) return null;
      if (!timingSafeEqual(Buffer.from(row.hash), Buffer.from(hashOf(secret)))) return null;
      return {
        account: row.account,
        key: row._id,
        keyName: row.name,
        permissions: row.permissions.filter((name) => PERMISSIONS.includes(name)),
      };
    },

    quotaLimits,
    quotaUsed,

    /** Orders used this month and the limit. */
    async quota(account: string): Promise<Quota> {
      const [limits, used] = await Promise.all([quotaLimits([account]), quotaUsed(null, [account])]);
      return { used: used.get(account) ?? 0, limit: limits.get(account) ?? null };
    },

    /** Takes one order from the month's quota of each, in the caller's transaction. */
    async takeQuota(session: ClientSession, accounts: readonly string[]): Promise<void> {
      const month = quotaMonth(now());
      await models.quotas.collection.bulkWrite(
        [...accounts].sort().map((account) => ({
          updateOne: {
            filter: { _id: `${account}:${month}` },
            update: { $inc: { used: 1 }, $setOnInsert: { account } },
            upsert: true,
          },
        })) as never,
        { session, ordered: true },
      );
    },

    /** Gives back what was taken at that time: it never was an order. */
    async giveQuotaBack(session: ClientSession, accounts: readonly string[], takenAt: Date): Promise<void> {
      const month = quotaMonth(takenAt);
      await models.quotas.collection.bulkWrite(
        [...accounts].sort().map((account) => ({
          updateOne: { filter: { _id: `${account}:${month}`, used: { $gt: 0 } }, update: { $inc: { used: -1 } } },
        })) as never,
        { session, ordered: true },
      );
    },
  };
}
