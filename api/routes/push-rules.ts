/** Push rules. Contract: stock-push.md, Push rules. */
import type { Platform } from '../../connectors/port';
import { HubError } from '../../domain/failures';
import {
  INVENTORY_TYPES,
  lowStockCounts,
  PARTIAL_MOST,
  PUSH_RULE_LIMIT,
  RULE_SKU_LIMIT,
  VIRTUAL_MOST,
} from '../../domain/push-rules';
import type { PushRuleDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { requireInventory } from '../inventory';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { id, lineOf, listOfDistinct, QUANTITY_MOST, quantity, skuCode, time, warning } from '../schemas/values';
import { z } from '../schemas/zod';

/** More days than any platform lets a buyer wait. */
const DAYS_TO_SHIP_MOST = 90;
const idList = listOfDistinct(id, { most: PUSH_RULE_LIMIT });
const skuScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({
    kind: z.literal('list'),
    skus: listOfDistinct(skuCode, { what: 'a SKU' }),
  }),
  z
    .strictObject({ kind: z.literal('stores'), stores: idList })
    .openapi({ description: 'Every SKU with a connected listing in one of these stores' }),
  z.strictObject({ kind: z.literal('categories'), categories: listOfDistinct(lineOf(100), { most: PUSH_RULE_LIMIT }) }),
]);
const ruleQuantity = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('real') }),
  z.strictObject({ kind: z.literal('partial'), percent: z.int().min(0).max(PARTIAL_MOST) }),
  z.strictObject({ kind: z.literal('virtual'), percent: z.int().min(0).max(VIRTUAL_MOST), plus: quantity }),
]);
const preOrder = z
  .strictObject({
    enableAtOrBelow: quantity,
    add: quantity,
    closeAbove: quantity,
    daysToShip: z.int().min(1).max(DAYS_TO_SHIP_MOST),
  })
  .refine(({ enableAtOrBelow, closeAbove }) => closeAbove >= enableAtOrBelow, {
    path: ['closeAbove'],
    message: 'must not be below enableAtOrBelow',
    params: { code: 'too_small' },
  });
const ruleFields = {
  name: lineOf(200),
  enabled: z.boolean(),
  priority: z.int().min(0).max(QUANTITY_MOST),
  skus: skuScope,
  warehouses: idList,
  stores: idList,
  inventoryType: z.enum(INVENTORY_TYPES),
  quantity: ruleQuantity,
  zeroBelow: quantity.nullable().openapi({ description: 'Below this, every store gets 0' }),
  lowStock: z.strictObject({ threshold: quantity, store: id }).nullable(),
  preOrder: preOrder.nullable().openapi({ description: 'On platforms whose listings can be in pre-order' }),
};
const newRule = z.strictObject({
  ...ruleFields,
  enabled: ruleFields.enabled.default(true),
  inventoryType: ruleFields.inventoryType.default('sellable'),
  quantity: ruleFields.quantity.default({ kind: 'real' }),
  zeroBelow: ruleFields.zeroBelow.default(null),
  lowStock: ruleFields.lowStock.default(null),
  preOrder: ruleFields.preOrder.default(null),
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
      z.object({ kind: z.literal('stores'), stores: z.array(z.string()) }),
      z.object({ kind: z.literal('categories'), categories: z.array(z.string()) }),
      z.object({ kind: z.literal('all') }),
    ]),
    warehouses: z.array(z.string()),
    stores: z.array(z.string()),
    inventoryType: z.enum(INVENTORY_TYPES),
    quantity: z.union([
      z.object({ kind: z.literal('virtual'), percent: z.int(), plus: z.int() }),
      z.object({ kind: z.literal('partial'), percent: z.int() }),
      z.object({ kind: z.literal('real') }),
    ]),
    zeroBelow: z.int().nullable(),
    lowStock: z.object({ threshold: z.int(), store: z.string() }).nullable(),
    preOrder: z.object({ enableAtOrBelow: z.int(), add: z.int(), closeAbove: z.int(), daysToShip: z.int() }).nullable(),
    updatedAt: time,
  })
  .openapi('PushRule');
const savedRule = rule.extend({ warnings: z.array(warning).optional() });

const ruleOf = (row: PushRuleDoc) => ({
  id: row._id,
  name: row.name,
  enabled: row.enabled,
  priority: row.priority,
  revision: row.revision,
  skus: row.skus,
  warehouses: row.warehouses,
  stores: row.stores,
  inventoryType: row.inventoryType,
  quantity: row.quantity,
  zeroBelow: row.zeroBelow,
  lowStock: row.lowStock,
  preOrder: row.preOrder,
  updatedAt: row.updatedAt,
});

/** That low stock never counts, where it does not. */
export function lowStockWarnings(rule: Parameters<typeof lowStockCounts>[0]): z.output<typeof warning>[] {
  const { zeroBelow, lowStock } = rule;
  if (lowStock === null || lowStockCounts(rule)) return [];
  const detail = `The threshold ${lowStock.threshold} is not above zeroBelow ${zeroBelow ?? 0}`;
  return [{ pointer: '/lowStock/threshold', code: 'low_stock_ignored', detail }];
}

/** The rule as it was saved, with what of it never counts. */
async function savedRuleOf({ store, connectors }: Hub, row: PushRuleDoc) {
  const stores = row.preOrder === null ? [] : await store.stores.named(row.account, row.stores);
  const platforms = stores.map(({ platform }) => connectors[platform as Platform]?.capabilities);
  const warnings = [
    ...lowStockWarnings(row),
    ...(row.preOrder !== null && !platforms.some((can) => can?.preOrder)
      ? [{ pointer: '/preOrder', code: 'pre_order_ignored', detail: 'No platform of the rule’s stores has pre-order' }]
      : []),
  ];
  return { ...ruleOf(row), ...(warnings.length === 0 ? {} : { warnings }) };
}

/** Its own code (`rule_sku_limit`), so the length is not the schema's matter. */
function requireFewSkus(scope: z.output<typeof skuScope> | undefined): void {
  if (scope?.kind === 'list' && scope.skus.length > RULE_SKU_LIMIT)
    throw new HubError('rule_sku_limit', `The list has ${scope.skus.length} SKUs`, {
      errors: [{ pointer: '/skus/skus', code: 'too_long', detail: `at most ${RULE_SKU_LIMIT}` }],
    });
}

export const pushRuleRoutes = [
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
    answers: { 201: savedRule },
    async handle({ account, body, command }, hub) {
      requireFewSkus(body.skus);
      await requireInventory(hub, account);
      return created(await savedRuleOf(hub, await hub.store.pushes.addRule(account, body, command)));
    },
  }),
  route({
    method: 'patch',
    path: '/v1/push-rules/{id}',
    access: 'inventory',
    tag: 'stock push',
    summary: 'Change a push rule; it gets a new revision',
    body: ruleChange,
    answers: { 200: savedRule },
    async handle({ account, params, body }, hub) {
      requireFewSkus(body.skus);
      await requireInventory(hub, account);
      const row = await hub.store.pushes.changeRule(account, params.id, withoutUndefined(body));
      return ok(await savedRuleOf(hub, row));
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
];
