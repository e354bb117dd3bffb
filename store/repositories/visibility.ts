/** A supplier's visibility rules. Contract: catalogue.md, Visibility rules. */
import type { ClientSession } from 'mongoose';
import { HubError, type InputProblem } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { VISIBILITY_RULE_LIMIT, type VisibilityRule } from '../../domain/visibility';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { VisibilityRuleDoc } from '../models/documents';
import { createClaimRepository } from './claims';
import { createLevelRepository } from './levels';

export type VisibilityRuleInput = Omit<VisibilityRule, 'id'>;

/** What the rules of each kind select by. */
const SCOPES: Record<VisibilityRule['kind'], readonly string[]> = {
  only: ['list'],
  hide: ['list'],
  scope: ['all', 'level'],
};

export function createVisibilityRepository(db: Database) {
  const { models, now } = db;
  const claims = createClaimRepository(db);
  const levels = createLevelRepository(db);

  /**
   * What a rule names must be the supplier's; every problem at once. Distributors are kept by account, so that a rule
   * holds for their next partnership too.
   */
  async function checked(
    session: ClientSession,
    supplier: string,
    input: VisibilityRuleInput,
  ): Promise<VisibilityRuleInput> {
    const errors: InputProblem[] = [];
    if (input.products.kind === 'list') {
      const { skus } = input.products;
      const known = await models.products
        .find({ supplier, sku: { $in: [...skus] } }, { sku: 1 })
        .session(session)
        .lean();
      for (const [index, sku] of skus.entries())
        if (!known.some((row) => row.sku === sku))
          errors.push({
            pointer: `/products/skus/${index}`,
            code: 'unknown_product',
            detail: `${sku} is not a distribution product`,
          });
    }
    const { distributors: scope } = input;
    let distributors = scope;
    const scopes = SCOPES[input.kind];
    if (!scopes.includes(scope.kind))
      errors.push({
        pointer: '/distributors',
        code: 'invalid_value',
        detail: `A rule of kind ${input.kind} takes distributors of kind ${scopes.join(' or ')}`,
      });
    if (scope.kind === 'level')
      errors.push(...(await levels.problemOf(session, supplier, scope.level, '/distributors/level')));
    if (scope.kind === 'list') {
      const named = [...scope.distributors];
      const known = await models.partnerships
        .find({ supplier, $or: [{ _id: { $in: named } }, { distributor: { $in: named } }] }, { distributor: 1 })
        .session(session)
        .lean();
      const accountOf = (id: string) =>
        known.find((row) => row._id === id || row.distributor === id)?.distributor ?? null;
      for (const [index, id] of named.entries())
        if (accountOf(id) === null)
          errors.push({
            pointer: `/distributors/distributors/${index}`,
            code: 'unknown_distributor',
            detail: `There is no distributor ${id}`,
          });
      distributors = { kind: 'list', distributors: [...new Set(named.flatMap((id) => accountOf(id) ?? []))] };
    }
    if (errors.length > 0)
      throw new HubError('invalid_input', 'The rule does not fit, or names what is not there', { errors });
    return { ...input, distributors };
  }

  /**
   * 409 where another rule has the number. All who write rules write the set-up first, so none passes another here. (A unique
   * index would do the same, but the embedded engine keeps an entry of it when the value changes.)
   */
  async function refuseTaken(session: ClientSession, supplier: string, number: number, id: string): Promise<void> {
    if (await models.visibilityRules.exists({ supplier, number, _id: { $ne: id } }).session(session))
      throw new HubError('rule_number_taken', `Another rule has number ${number}`);
  }

  return {
    /**
     * 409 `visibility_rule_limit`, `rule_number_taken`; 422 for what is not there. The caller then settles the claims it
     * moves; the same command again makes no second rule.
     */
    add(supplier: string, input: VisibilityRuleInput, command?: string): Promise<VisibilityRuleDoc> {
      const _id = idFor('visibilityRule', command);
      return db.transact(async (session) => {
        const there = await models.visibilityRules.findOne({ _id, supplier }).session(session).lean();
        if (there) return there;
        await claims.raise(session, supplier);
        if ((await models.visibilityRules.countDocuments({ supplier }).session(session)) >= VISIBILITY_RULE_LIMIT)
          throw new HubError('visibility_rule_limit', `There are ${VISIBILITY_RULE_LIMIT} already`);
        await refuseTaken(session, supplier, input.number, _id);
        const fields = await checked(session, supplier, input);
        const row: VisibilityRuleDoc = { _id, supplier, ...fields, createdAt: now(), updatedAt: now() };
        await models.visibilityRules.create([row], { session });
        return row;
      }, `products/${supplier}`);
    },

    change(supplier: string, id: string, set: Partial<VisibilityRuleInput>): Promise<VisibilityRuleDoc> {
      return db.transact(async (session) => {
        await claims.raise(session, supplier);
        const there = found(
          await models.visibilityRules.findOne({ _id: id, supplier }).session(session).lean(),
          'visibility rule',
        );
        const { number, enabled, kind, products, distributors } = { ...there, ...set };
        const fields = await checked(session, supplier, { number, enabled, kind, products, distributors });
        await refuseTaken(session, supplier, number, id);
        return found(
          await models.visibilityRules
            .findOneAndUpdate(
              { _id: id, supplier },
              { $set: { ...fields, updatedAt: now() } },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'visibility rule',
        );
      }, `products/${supplier}`);
    },

    async remove(supplier: string, id: string): Promise<void> {
      await db.transact(async (session) => {
        await claims.raise(session, supplier);
        found(
          await models.visibilityRules.findOneAndDelete({ _id: id, supplier }, { session }).lean(),
          'visibility rule',
        );
      }, `products/${supplier}`);
    },

    /** The strongest first. */
    async list(supplier: string, page: PageRequest): Promise<Page<VisibilityRuleDoc>> {
      const rows = await models.visibilityRules
        .find({ supplier, ...(page.after === null ? {} : { number: { $gt: Number(page.after) } }) })
        .sort({ number: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ number }) => String(number));
    },
  };
}
