/** The supplier's own push rule, to all partners: made with the set-up, only its other settings change. Contract: stock-push.md. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { DEFAULT_DISTRIBUTION_RULE, type DistributionRule } from '../../domain/push-rules';
import { type Database, found } from '../database';

export type DistributionRuleChange = Partial<Pick<DistributionRule, 'zeroBelow' | 'lowStock'>>;

export function createDistributionRuleRepository(db: Database) {
  const { models, now } = db;

  async function get(session: ClientSession | null, supplier: string): Promise<DistributionRule> {
    const row = found(
      await models.suppliers.findById(supplier, { pushRule: 1 }).session(session).lean(),
      'distribution push rule',
    );
    return row.pushRule ?? DEFAULT_DISTRIBUTION_RULE;
  }

  return {
    /** 404 where Distribution is not active. */
    rule: (supplier: string) => get(null, supplier),

    /** What is given changes; the rule gets its next revision, and pushes nothing by itself. 422 for a distributor that is no partner. */
    change(supplier: string, set: DistributionRuleChange): Promise<DistributionRule> {
      return db.transact(async (session) => {
        const before = await get(session, supplier);
        const rule: DistributionRule = { ...before, ...set, revision: before.revision + 1 };
        const distributor = rule.lowStock?.distributor;
        if (
          distributor !== undefined &&
          !(await models.partnerships.findOne({ supplier, distributor, status: 'partnered' }).session(session).lean())
        )
          throw new HubError('invalid_input', 'The rule names what is not there', {
            errors: [
              {
                pointer: '/lowStock/distributor',
                code: 'unknown_distributor',
                detail: `${distributor} is no partner`,
              },
            ],
          });
        await models.suppliers.updateOne(
          { _id: supplier },
          { $set: { pushRule: rule }, $inc: { touched: 1 } },
          { session },
        );
        await models.distributionRules.create([{ _id: `${supplier}/${rule.revision}`, supplier, ...rule, at: now() }], {
          session,
        });
        return rule;
      }, `supplier/${supplier}`);
    },
  };
}
