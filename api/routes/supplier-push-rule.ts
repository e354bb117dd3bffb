/** The supplier's default push rule to its distributors. Contract: stock-push.md, Distribution push rule. */
import { HubError } from '../../domain/failures';
import { type DistributionRule, SYSTEM_RULE_FIELDS } from '../../domain/push-rules';
import { withoutUndefined } from '../input';
import { ok, route } from '../route';
import { id, quantity, warning } from '../schemas/values';
import { z } from '../schemas/zod';
import { lowStockWarnings } from './push-rules';

const settings = {
  zeroBelow: quantity.nullable().optional().openapi({ description: 'Below this, every distributor gets 0' }),
  lowStock: z.strictObject({ threshold: quantity, distributor: id }).nullable().optional(),
};
const fixed = Object.fromEntries(SYSTEM_RULE_FIELDS.map((name) => [name, z.unknown().optional()]));
const change = z
  .strictObject({ ...fixed, ...settings })
  .refine((body) => Object.keys(body).length > 0, 'must change something');

const supplierRule = z
  .object({
    name: z.string(),
    skus: z.object({ kind: z.literal('all') }),
    warehouses: z.literal('one_to_one').openapi({ description: 'Each distribution warehouse to its view' }),
    quantity: z.object({ kind: z.literal('real') }),
    receivers: z.literal('all_distributors'),
    revision: z.int(),
    zeroBelow: z.int().nullable(),
    lowStock: z.object({ threshold: z.int(), distributor: z.string() }).nullable(),
    warnings: z.array(warning).optional(),
  })
  .openapi('SupplierPushRule');

function ruleOf({ revision, zeroBelow, lowStock }: DistributionRule) {
  const warnings = lowStockWarnings({ zeroBelow, lowStock });
  return {
    name: 'Distribution',
    skus: { kind: 'all' },
    warehouses: 'one_to_one',
    quantity: { kind: 'real' },
    receivers: 'all_distributors',
    ...{ revision, zeroBelow, lowStock },
    ...(warnings.length === 0 ? {} : { warnings }),
  };
}

export const supplierPushRuleRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/push-rule',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The push rule to all distributors',
    answers: { 200: supplierRule },
    handle: async ({ account }, { store }) => ok(ruleOf(await store.distributionRules.rule(account))),
  }),
  route({
    method: 'patch',
    path: '/v1/supplier/push-rule',
    access: 'distribution',
    tag: 'stock push',
    summary: 'Change its other settings; saving pushes nothing by itself',
    body: change,
    answers: { 200: supplierRule },
    async handle({ account, body }, { store }) {
      const wrong = SYSTEM_RULE_FIELDS.filter((name) => name in (body as object));
      if (wrong.length > 0)
        throw new HubError('rule_is_system', 'Only zeroBelow and lowStock can be changed', {
          errors: wrong.map((name) => ({ pointer: `/${name}`, code: 'immutable', detail: 'Made by the system' })),
        });
      const { zeroBelow, lowStock } = body;
      return ok(ruleOf(await store.distributionRules.change(account, withoutUndefined({ zeroBelow, lowStock }))));
    },
  }),
];
