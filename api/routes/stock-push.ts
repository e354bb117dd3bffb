/** Push rules, and the records of what was pushed where. Contract: stock-push.md. */
import { HubError } from '../../domain/failures';
import { PUSH_RULE_LIMIT, RULE_SKU_LIMIT } from '../../domain/push-rules';
import type { PushRecordDoc, PushRuleDoc } from '../../store/models/documents';
import { withoutUndefined } from '../input';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { id, lineOf, QUANTITY_MOST, skuCode, time } from '../schemas/values';
import { z } from '../schemas/zod';

const unique = (names: readonly string[]) => new Set(names).size === names.length;
const idList = z.array(id).min(1).max(PUSH_RULE_LIMIT).refine(unique, 'must not name one twice');
const skuScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({
    kind: z.literal('list'),
    skus: z.array(skuCode).min(1).refine(unique, 'must not name a SKU twice'),
  }),
]);
const ruleFields = {
  name: lineOf(200),
  enabled: z.boolean(),
  priority: z.int().min(1).max(QUANTITY_MOST),
  skus: skuScope,
  warehouses: idList,
  stores: idList,
  quantity: z.strictObject({ kind: z.literal('real') }),
};
const newRule = z.strictObject({
  ...ruleFields,
  enabled: ruleFields.enabled.default(true),
  quantity: ruleFields.quantity.default({ kind: 'real' }),
});
const ruleChange = z
  .strictObject(ruleFields)
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must change something');

const rule = z
  .object({
    id: z.string(),
    name: z.string(),
    enabled: z.boolean(),
    priority: z.int(),
    revision: z.int(),
    skus: z.union([
      z.object({ kind: z.literal('list'), skus: z.array(z.string()) }),
      z.object({ kind: z.literal('all') }),
    ]),
    warehouses: z.array(z.string()),
    stores: z.array(z.string()),
    quantity: z.object({ kind: z.literal('real') }),
    updatedAt: time,
  })
  .openapi('PushRule');

const ruleOf = (row: PushRuleDoc) => ({
  id: row._id,
  name: row.name,
  enabled: row.enabled,
  priority: row.priority,
  revision: row.revision,
  skus: row.skus,
  warehouses: row.warehouses,
  stores: row.stores,
  quantity: row.quantity,
  updatedAt: row.updatedAt,
});

/** Stock push is off unless the Inventory switch is on. */
function requireInventory(enabled: boolean): void {
  if (!enabled) throw new HubError('inventory_off', 'Turn it on with PATCH /v1/account {"inventoryEnabled":true}');
}

/** Its own code (`rule_sku_limit`), so the length is not the schema's matter. */
function requireFewSkus(scope: z.output<typeof skuScope> | undefined): void {
  if (scope?.kind === 'list' && scope.skus.length > RULE_SKU_LIMIT)
    throw new HubError('rule_sku_limit', `The list has ${scope.skus.length} SKUs`, {
      errors: [{ pointer: '/skus/skus', code: 'too_long', detail: `at most ${RULE_SKU_LIMIT}` }],
    });
}

const OUTCOMES = ['accepted', 'refused', 'failed', 'skipped'] as const;
const result = z.object({
  quantity: z.int().nullable(),
  before: z.int().nullable(),
  cause: z.string(),
  rule: z.string().nullable(),
  revision: z.int().nullable(),
  at: time,
  outcome: z.enum(OUTCOMES),
  error: z.string().nullable(),
  attempts: z.int(),
  changes: z.int(),
});
const recordFields = {
  sku: z.string(),
  store: z.string().nullable(),
  distributor: z.string().nullable(),
  accepted: z.int().nullable().openapi({ description: 'The last quantity accepted there' }),
  latest: result,
};
const pushRecord = z.object(recordFields).openapi('PushRecord');
const pushHistory = z.object({ ...recordFields, history: z.array(result) }).openapi('PushHistory');

const resultOf = (row: PushRecordDoc['latest']) => ({
  quantity: row.quantity,
  before: row.before,
  cause: row.cause,
  rule: row.rule,
  revision: row.revision,
  at: row.at,
  outcome: row.outcome,
  error: row.error,
  attempts: row.attempts,
  changes: row.changes,
});
const recordOf = (row: PushRecordDoc) => ({
  sku: row.sku,
  store: row.store,
  distributor: row.distributor,
  accepted: row.accepted,
  latest: resultOf(row.latest),
});
const historyOf = (row: PushRecordDoc) => ({ ...recordOf(row), history: row.history.map(resultOf) });

const outcome = z.enum(OUTCOMES);

export const stockPushRoutes = [
  route({
    method: 'get',
    path: '/v1/push-rules',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Push rules, the strongest first',
    paged: true,
    answers: { 200: listOf(rule) },
    handle: async ({ account, page }, { store }) => listed(await store.pushes.listRules(account, page), ruleOf),
  }),
  route({
    method: 'post',
    path: '/v1/push-rules',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Save a push rule; saving pushes nothing by itself',
    body: newRule,
    answers: { 201: rule },
    async handle({ account, body, command }, { store }) {
      requireFewSkus(body.skus);
      requireInventory((await store.accounts.get(account)).inventoryEnabled);
      return created(ruleOf(await store.pushes.addRule(account, body, command)));
    },
  }),
  route({
    method: 'patch',
    path: '/v1/push-rules/{id}',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Change a push rule; it gets a new revision',
    body: ruleChange,
    answers: { 200: rule },
    async handle({ account, params, body }, { store }) {
      requireFewSkus(body.skus);
      return ok(ruleOf(await store.pushes.changeRule(account, params.id, body)));
    },
  }),
  route({
    method: 'delete',
    path: '/v1/push-rules/{id}',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Remove a push rule',
    answers: { 204: null },
    async handle({ account, params }, { store }) {
      await store.pushes.removeRule(account, params.id);
      return noContent;
    },
  }),
  route({
    method: 'get',
    path: '/v1/push-records',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The latest push of each SKU to each store',
    query: z.strictObject({ sku: skuCode.optional(), store: id.optional(), outcome: outcome.optional() }),
    paged: true,
    answers: { 200: listOf(pushRecord) },
    handle: async ({ account, query, page }, { store }) =>
      listed(
        await store.pushes.records(
          account,
          {
            kind: 'store',
            ...withoutUndefined({ sku: query.sku, store: query.store, outcome: query.outcome }),
          },
          page,
        ),
        recordOf,
      ),
  }),
  route({
    method: 'get',
    path: '/v1/push-records/history',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The newest 30 pushes of a SKU, per store; at most 30 days back',
    query: z.strictObject({ sku: skuCode, store: id.optional() }),
    answers: { 200: listOf(pushHistory) },
    async handle({ account, query }, { store }) {
      const items = await store.pushes.history(account, {
        kind: 'store',
        sku: query.sku,
        ...withoutUndefined({ store: query.store }),
      });
      return listed({ items, nextCursor: null }, historyOf);
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/push-records',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The latest push of each distribution product to each distributor',
    query: z.strictObject({ sku: skuCode.optional(), distributor: id.optional(), outcome: outcome.optional() }),
    paged: true,
    answers: { 200: listOf(pushRecord) },
    handle: async ({ account, query, page }, { store }) =>
      listed(
        await store.pushes.records(
          account,
          {
            kind: 'distributor',
            ...withoutUndefined({ sku: query.sku, distributor: query.distributor, outcome: query.outcome }),
          },
          page,
        ),
        recordOf,
      ),
  }),
  route({
    method: 'get',
    path: '/v1/supplier/push-records/history',
    access: 'distribution',
    tag: 'stock push',
    summary: 'The newest 30 pushes of a distribution product, per distributor; at most 30 days back',
    query: z.strictObject({ sku: skuCode, distributor: id.optional() }),
    answers: { 200: listOf(pushHistory) },
    async handle({ account, query }, { store }) {
      const items = await store.pushes.history(account, {
        kind: 'distributor',
        sku: query.sku,
        ...withoutUndefined({ distributor: query.distributor }),
      });
      return listed({ items, nextCursor: null }, historyOf);
    },
  }),
];
