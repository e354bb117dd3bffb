/** Push rules, and the records of what was pushed where. Contract: stock-push.md. */
import type { AnyBulkWriteOperation, Document } from 'mongodb';
import type { ClientSession, QueryFilter } from 'mongoose';
import { HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { PUSH_RULE_LIMIT, type PushRule } from '../../domain/push-rules';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { PushRecordDoc, PushResult, PushRuleDoc } from '../models/documents';

/** How many results a record's history keeps. */
export const HISTORY_LENGTH = 30;

export type RuleInput = Omit<PushRule, 'id' | 'revision'>;

export interface RecordEntry {
  readonly id: string;
  readonly account: string;
  readonly kind: PushRecordDoc['kind'];
  readonly sku: string;
  readonly store: string | null;
  readonly distributor: string | null;
  readonly result: PushResult;
}

export type PushRepository = ReturnType<typeof createPushRepository>;

export function createPushRepository(db: Database) {
  const { models, now } = db;

  const toRule = ({ _id, account: _account, updatedAt: _updatedAt, ...rule }: PushRuleDoc): PushRule => ({
    id: _id,
    ...rule,
  });

  /** What a rule names must be the account's own; every problem at once. */
  async function check(account: string, input: RuleInput): Promise<void> {
    const [warehouses, stores] = await Promise.all([
      models.warehouses.find({ account, _id: { $in: [...input.warehouses] } }, { _id: 1 }).lean(),
      models.stores.find({ account, _id: { $in: [...input.stores] } }, { _id: 1 }).lean(),
    ]);
    const missing = (names: readonly string[], there: readonly { _id: string }[], field: string) =>
      names.flatMap((name, index) =>
        there.some(({ _id }) => _id === name)
          ? []
          : [
              {
                pointer: `/${field}/${index}`,
                code: `unknown_${field.slice(0, -1)}`,
                detail: `There is no ${field.slice(0, -1)} ${name}`,
              },
            ],
      );
    const errors = [...missing(input.warehouses, warehouses, 'warehouses'), ...missing(input.stores, stores, 'stores')];
    if (errors.length > 0) throw new HubError('invalid_input', 'The rule names what is not there', { errors });
  }

  /** All who write an account's rules write the account first, so that of two that take one priority the second sees the first. */
  async function takePriority(session: ClientSession, account: string, priority: number, rule: string): Promise<void> {
    await models.accounts.updateOne({ _id: account }, { $inc: { ruleTurns: 1 } }, { session });
    const other = await models.pushRules
      .findOne({ account, priority, _id: { $ne: rule } }, { _id: 1 })
      .session(session)
      .lean();
    if (other) throw new HubError('priority_taken', `Another rule has priority ${priority}`);
  }

  return {
    /** 409 `push_rule_limit`, `priority_taken`; 422 for what is not there. Saving pushes nothing by itself. */
    async addRule(account: string, input: RuleInput, command?: string): Promise<PushRuleDoc> {
      await check(account, input);
      const row: PushRuleDoc = { _id: idFor('pushRule', command), account, ...input, revision: 1, updatedAt: now() };
      return db.transact(async (session) => {
        const there = await models.pushRules.findOne({ _id: row._id, account }).session(session).lean();
        if (there) return there;
        await takePriority(session, account, input.priority, row._id);
        if ((await models.pushRules.countDocuments({ account }).session(session)) >= PUSH_RULE_LIMIT)
          throw new HubError('push_rule_limit', `There are ${PUSH_RULE_LIMIT} already`);
        await models.pushRules.create([row], { session });
        return row;
      }, `rules/${account}`);
    },

    async changeRule(account: string, id: string, set: Partial<RuleInput>): Promise<PushRuleDoc> {
      const before = found(await models.pushRules.findOne({ _id: id, account }).lean(), 'push rule');
      await check(account, { ...toRule(before), ...set });
      return db.transact(async (session) => {
        if (set.priority !== undefined) await takePriority(session, account, set.priority, id);
        return found(
          await models.pushRules
            .findOneAndUpdate(
              { _id: id, account },
              { $set: { ...set, updatedAt: now() }, $inc: { revision: 1 } },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'push rule',
        );
      }, `rules/${account}`);
    },

    async removeRule(account: string, id: string): Promise<void> {
      found(await models.pushRules.findOneAndDelete({ _id: id, account }).lean(), 'push rule');
    },

    async rule(account: string, id: string): Promise<PushRuleDoc> {
      return found(await models.pushRules.findOne({ _id: id, account }).lean(), 'push rule');
    },

    async listRules(account: string, page: PageRequest): Promise<Page<PushRuleDoc>> {
      const rows = await models.pushRules
        .find({ account, ...(page.after === null ? {} : { priority: { $gt: Number(page.after) } }) })
        .sort({ priority: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ priority }) => String(priority));
    },

    /** All enabled rules of an account, as the quantity is decided by them. At most 200. */
    async rules(account: string): Promise<PushRule[]> {
      const rows = await models.pushRules.find({ account, enabled: true }).lean();
      return rows.map(toRule);
    },

    /**
     * Notes that a call is about to go out. Until its answer is recorded nobody knows what the store has: should the
     * answer be lost, not even the quantity accepted last is taken for granted.
     */
    async calling(ids: readonly string[]): Promise<void> {
      if (ids.length === 0) return;
      await models.pushRecords.collection.bulkWrite(
        ids.map((_id) => ({ updateOne: { filter: { _id }, update: { $set: { unanswered: true } } } })) as never,
        { ordered: false },
      );
    },

    /** What each store has by its last answer, by record id; missing where that is not known. */
    async accepted(ids: readonly string[]): Promise<Map<string, number>> {
      const rows = await models.pushRecords
        .find({ _id: { $in: [...ids] }, accepted: { $ne: null }, unanswered: { $ne: true } }, { accepted: 1 })
        .lean();
      return new Map(rows.flatMap(({ _id, accepted }) => (accepted === null ? [] : [[_id, accepted] as const])));
    },

    /** Writes results: the latest of each, and the newest 30 as history. */
    async record(entries: readonly RecordEntry[]): Promise<void> {
      if (entries.length === 0) return;
      const writes = entries.map(
        ({ id, account, kind, sku, store, distributor, result }): AnyBulkWriteOperation<Document> => ({
          updateOne: {
            filter: { _id: id as never },
            update: {
              $set: {
                account,
                kind,
                sku,
                store,
                distributor,
                latest: result,
                ...(result.outcome === 'accepted' ? { accepted: result.quantity } : {}),
                // A failure is no answer.
                ...(result.outcome === 'failed' ? {} : { unanswered: false }),
              },
              $push: { history: { $each: [result], $slice: -HISTORY_LENGTH } } as never,
              ...(result.outcome === 'accepted' ? {} : { $setOnInsert: { accepted: null } }),
            },
            upsert: true,
          },
        }),
      );
      await models.pushRecords.collection.bulkWrite(writes as never, { ordered: false });
    },

    async records(
      account: string,
      filter: { kind: PushRecordDoc['kind']; sku?: string; store?: string; distributor?: string; outcome?: string },
      page: PageRequest,
    ): Promise<Page<PushRecordDoc>> {
      const { outcome, ...fields } = filter;
      const rows = await models.pushRecords
        .find(
          {
            account,
            ...fields,
            ...(outcome === undefined ? {} : { 'latest.outcome': outcome }),
            ...(page.after === null ? {} : { _id: { $gt: page.after } }),
          } as QueryFilter<PushRecordDoc>,
          { history: 0 },
        )
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows as unknown as PushRecordDoc[], page.limit, ({ _id }) => _id);
    },

    /** The newest results of one SKU in one store, newest first; at most 30 days back. */
    async history(
      account: string,
      filter: { kind: PushRecordDoc['kind']; sku: string; store?: string; distributor?: string },
    ): Promise<PushRecordDoc[]> {
      const rows = await models.pushRecords
        .find({ account, ...filter })
        .limit(200)
        .lean();
      const oldest = new Date(now().getTime() - 30 * 86_400_000);
      return rows.map((row) => ({ ...row, history: row.history.filter(({ at }) => at >= oldest).reverse() }));
    },
  };
}
