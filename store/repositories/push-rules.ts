/**
 * Push rules and their revisions. A revision is kept for good: orders and records name it. Which revisions were in force
 * together is told by the account's turn, which grows by one with each change of its rules. Contract: stock-push.md.
 */
import type { ClientSession } from 'mongoose';
import { HubError, type InputProblem } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { PUSH_RULE_LIMIT, type PushRule } from '../../domain/push-rules';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { PushRuleDoc, PushRuleRevisionDoc } from '../models/documents';

export type RuleInput = Omit<PushRule, 'id' | 'revision'>;

/** Until further notice. */
const STILL = Number.MAX_SAFE_INTEGER;
/** A copy of a rule's own fields; what the document has besides stays behind. */
const valuesOf = (rule: RuleInput): RuleInput => ({
  name: rule.name,
  enabled: rule.enabled,
  priority: rule.priority,
  skus: rule.skus,
  warehouses: [...rule.warehouses],
  stores: [...rule.stores],
  inventoryType: rule.inventoryType,
  quantity: rule.quantity,
  zeroBelow: rule.zeroBelow,
  lowStock: rule.lowStock,
  preOrder: rule.preOrder,
});
export const revisionId = (rule: string, revision: number) => `${rule}/${revision}`;

/** What an account's rules are, or were, at one turn. */
export interface RulesAt {
  readonly turn: number;
  /** Also those that are switched off. */
  readonly rules: readonly PushRule[];
}

export function createPushRuleRepository(db: Database) {
  const { models, now } = db;

  /** What a rule names must be the account's own, and fit together; every problem at once. */
  async function check(session: ClientSession, account: string, input: RuleInput): Promise<void> {
    const scope = input.skus.kind === 'stores' ? input.skus.stores : [];
    const warehouses = await models.warehouses
      .find({ account, _id: { $in: [...input.warehouses] } }, { _id: 1 })
      .session(session)
      .lean();
    const stores = await models.stores
      .find({ account, _id: { $in: [...input.stores, ...scope] } }, { _id: 1 })
      .session(session)
      .lean();
    const missing = (names: readonly string[], there: readonly { _id: string }[], pointer: string, what: string) => {
      const known = new Set(there.map(({ _id }) => _id));
      return names.flatMap((name, index): InputProblem[] =>
        known.has(name)
          ? []
          : [{ pointer: `${pointer}/${index}`, code: `unknown_${what}`, detail: `There is no ${what} ${name}` }],
      );
    };
    const errors = [
      ...missing(input.warehouses, warehouses, '/warehouses', 'warehouse'),
      ...missing(input.stores, stores, '/stores', 'store'),
      ...missing(scope, stores, '/skus/stores', 'store'),
      ...(input.lowStock !== null && !input.stores.includes(input.lowStock.store)
        ? [
            {
              pointer: '/lowStock/store',
              code: 'not_in_rule',
              detail: 'The priority store must be one of the rule’s stores',
            },
          ]
        : []),
    ];
    if (errors.length > 0) throw new HubError('invalid_input', 'The rule names what is not there', { errors });
  }

  /** All who write an account's rules write the account first: they take turns, and the second sees what the first took. */
  async function takeTurn(session: ClientSession, account: string): Promise<number> {
    const owner = found(
      await models.accounts
        .findOneAndUpdate({ _id: account }, { $inc: { ruleTurns: 1 } }, { session, returnDocument: 'after' })
        .lean(),
      'account',
    );
    return owner.ruleTurns ?? 0;
  }

  async function refuseTaken(session: ClientSession, account: string, priority: number, rule: string): Promise<void> {
    const other = await models.pushRules
      .findOne({ account, priority, _id: { $ne: rule } }, { _id: 1 })
      .session(session)
      .lean();
    if (other) throw new HubError('priority_taken', `Another rule has priority ${priority}`);
  }

  async function keepRevision(session: ClientSession, row: PushRuleDoc, turn: number): Promise<void> {
    const revision: PushRuleRevisionDoc = {
      _id: revisionId(row._id, row.revision),
      account: row.account,
      rule: row._id,
      revision: row.revision,
      values: valuesOf(row),
      fromTurn: turn,
      untilTurn: STILL,
      at: row.updatedAt,
    };
    await models.pushRuleRevisions.create([revision], { session });
  }

  const endRevision = (session: ClientSession, { _id, revision }: PushRuleDoc, turn: number) =>
    models.pushRuleRevisions.updateOne({ _id: revisionId(_id, revision) }, { $set: { untilTurn: turn } }, { session });

  const toRule = ({ rule, revision, values }: Pick<PushRuleRevisionDoc, 'rule' | 'revision' | 'values'>): PushRule => ({
    id: rule,
    revision,
    ...values,
  });

  return {
    /** 409 `push_rule_limit`, `priority_taken`; 422 for what is not there. Saving pushes nothing by itself. */
    async addRule(account: string, input: RuleInput, command?: string): Promise<PushRuleDoc> {
      return db.transact(async (session) => {
        const _id = idFor('pushRule', command);
        const there = await models.pushRules.findOne({ _id, account }).session(session).lean();
        if (there) return there;
        const turn = await takeTurn(session, account);
        await check(session, account, input);
        await refuseTaken(session, account, input.priority, _id);
        if ((await models.pushRules.countDocuments({ account }).session(session)) >= PUSH_RULE_LIMIT)
          throw new HubError('push_rule_limit', `There are ${PUSH_RULE_LIMIT} already`);
        const row: PushRuleDoc = { _id, account, ...valuesOf(input), revision: 1, updatedAt: now() };
        await models.pushRules.create([row], { session });
        await keepRevision(session, row, turn);
        return row;
      }, `rules/${account}`);
    },

    /** What is given changes, the rest stays; the rule gets its next revision. Errors as with `addRule`. */
    async changeRule(account: string, id: string, set: Partial<RuleInput>): Promise<PushRuleDoc> {
      return db.transact(async (session) => {
        const turn = await takeTurn(session, account);
        const before = found(await models.pushRules.findOne({ _id: id, account }).session(session).lean(), 'push rule');
        const values = valuesOf({ ...before, ...set });
        await check(session, account, values);
        await refuseTaken(session, account, values.priority, id);
        const row: PushRuleDoc = {
          _id: id,
          account,
          ...values,
          revision: before.revision + 1,
          updatedAt: now(),
        };
        await models.pushRules.replaceOne({ _id: id, account }, row, { session });
        await endRevision(session, before, turn);
        await keepRevision(session, row, turn);
        return row;
      }, `rules/${account}`);
    },

    async removeRule(account: string, id: string): Promise<void> {
      await db.transact(async (session) => {
        const turn = await takeTurn(session, account);
        const row = found(
          await models.pushRules.findOneAndDelete({ _id: id, account }, { session }).lean(),
          'push rule',
        );
        await endRevision(session, row, turn);
      }, `rules/${account}`);
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

    /** Those of these ids that are rules of the account. */
    async namedRules(account: string, ids: readonly string[]): Promise<string[]> {
      const rows = await models.pushRules.find({ account, _id: { $in: [...ids] } }, { _id: 1 }).lean();
      return rows.map(({ _id }) => _id);
    },

    /** Revisions of the account's rules by their ids, also of rules that are gone. */
    async revisions(account: string, ids: readonly string[]): Promise<Map<string, PushRule>> {
      const rows = await models.pushRuleRevisions.find({ _id: { $in: [...new Set(ids)] } }).lean();
      return new Map(rows.flatMap((row) => (row.account === account ? [[row._id, toRule(row)] as const] : [])));
    },

    /** The account's turn, e.g. for an order that keeps the rules in force when it is synced. */
    async turn(session: ClientSession | null, account: string): Promise<number> {
      const owner = await models.accounts.findById(account, { ruleTurns: 1 }).session(session).lean();
      return owner?.ruleTurns ?? 0;
    },

    /** The rules in force at one turn; those already known are kept where it is the same. At most 200. */
    async rulesAt(account: string, turn: number, known: RulesAt | null = null): Promise<RulesAt> {
      if (known?.turn === turn) return known;
      const rows = await models.pushRuleRevisions
        .find({ account, untilTurn: { $gt: turn }, fromTurn: { $lte: turn } })
        .lean();
      return { turn, rules: rows.map(toRule) };
    },
  };
}
