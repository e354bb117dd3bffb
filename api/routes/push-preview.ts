/** What the push rules give, without sending anything. Contract: stock-push.md, The quantity. */
import { capabilitiesIn } from '../../connectors';
import { writeCsv } from '../../connectors/files/csv';
import { escapeFormula } from '../../domain/imports';
import { ruleStock } from '../../domain/push-rules';
import type { Preview, PreviewedStore } from '../../store/repositories/push-preview';
import { requireInventory } from '../inventory';
import { fileAnswer, listed, listOf, ok, route, sendFile } from '../route';
import { quantity, skuCode } from '../schemas/values';
import { z } from '../schemas/zod';

const SKIPPED = [
  'no_push_rule',
  'store_not_in_rule',
  'automatic_off',
  'plan_excluded',
  'platform_not_configured',
] as const;
const step = z.object({
  step: z.enum(['stock', 'zeroBelow', 'lowStock', 'quantity', 'preOrder', 'platform']),
  applies: z.boolean(),
  numbers: z.record(z.string(), z.number()),
});
const previewedStore = z.object({
  store: z.string(),
  name: z.string(),
  platform: z.string(),
  listing: z.string().nullable().openapi({ description: 'Null where nothing of the SKU is listed there' }),
  quantity: z.int().nullable().openapi({ description: 'Null where nothing would be sent' }),
  skipped: z.enum(SKIPPED).nullable(),
  preOrder: z
    .object({ was: z.boolean(), on: z.boolean() })
    .nullable()
    .openapi({ description: 'Null where the platform has none' }),
  steps: z.array(step),
});
const preview = z
  .object({
    sku: z.string(),
    supplied: z.boolean().openapi({ description: 'False: nothing supplies it, so it is 0 everywhere' }),
    available: z.int(),
    inTransit: z.int(),
    total: z.int(),
    rule: z.object({ id: z.string(), name: z.string(), priority: z.int(), revision: z.int() }).nullable(),
    passedOver: z.array(
      z.object({
        id: z.string(),
        name: z.string(),
        priority: z.int(),
        reason: z.enum(['disabled', 'sku_not_in_rule', 'weaker']),
      }),
    ),
    stores: z.array(previewedStore),
  })
  .openapi('PushPreview');

const storeOf = ({ store, listing, decision, wasInPreOrder }: PreviewedStore) => ({
  store: store._id,
  name: store.name,
  platform: store.platform,
  listing: listing?._id ?? null,
  quantity: decision.kind === 'send' ? decision.quantity : null,
  skipped: decision.kind === 'skip' ? decision.reason : null,
  preOrder:
    decision.kind === 'send' && decision.preOrder !== null ? { was: wasInPreOrder, on: decision.preOrder.on } : null,
  steps: decision.kind === 'send' ? decision.steps : [],
});

function previewOf({ sku, facts, rule, passedOver, stores }: Preview) {
  const stock = rule === null ? { available: 0, inTransit: 0, total: 0 } : ruleStock(rule, facts.levels);
  return {
    sku,
    supplied: facts.active,
    ...stock,
    rule: rule && { id: rule.id, name: rule.name, priority: rule.priority, revision: rule.revision },
    passedOver,
    stores: stores.map(storeOf),
  };
}

const COLUMNS = ['sku', 'rule', 'revision', 'total', 'store', 'listing', 'quantity', 'skipped', 'pre_order'];
async function* rowsOf(previews: AsyncIterable<Preview>): AsyncGenerator<string[]> {
  yield COLUMNS;
  for await (const one of previews) {
    const { sku, rule, total, stores } = previewOf(one);
    const head = [sku, rule?.id ?? '', String(rule?.revision ?? ''), String(total)];
    for (const { store, listing, quantity: units, skipped, preOrder } of stores)
      yield [
        ...head,
        ...[
          store,
          listing ?? '',
          String(units ?? ''),
          skipped ?? '',
          preOrder === null ? '' : preOrder.on ? 'on' : 'off',
        ],
      ].map(escapeFormula);
  }
}

export const pushPreviewRoutes = [
  route({
    method: 'post',
    path: '/v1/push-rules/preview',
    access: 'inventory',
    tag: 'stock push',
    summary: 'What a SKU’s stores would get, at its stock or an assumed one, step by step; nothing is sent',
    body: z.strictObject({ sku: skuCode, available: quantity.optional(), inTransit: quantity.optional() }),
    audit: false,
    answers: { 200: preview },
    async handle({ account, body }, hub) {
      await requireInventory(hub, account);
      const { sku, available, inTransit } = body;
      const assumed = { available, inTransit };
      return ok(previewOf(await hub.store.pushPreviews.one(account, sku, capabilitiesIn(hub.connectors), assumed)));
    },
  }),
  route({
    method: 'get',
    path: '/v1/push-rules/preview',
    access: 'inventory',
    tag: 'stock push',
    summary: 'What all SKUs’ stores would get now, by SKU; nothing is sent',
    paged: true,
    answers: { 200: listOf(preview) },
    async handle({ account, page }, hub) {
      await requireInventory(hub, account);
      return listed(await hub.store.pushPreviews.page(account, page, capabilitiesIn(hub.connectors)), previewOf);
    },
  }),
  route({
    method: 'get',
    path: '/v1/push-rules/preview/export',
    access: 'inventory',
    tag: 'stock push',
    summary: 'The same as a file',
    answers: { 200: fileAnswer(['text/csv']) },
    async handle({ account }, hub) {
      await requireInventory(hub, account);
      const previews = hub.store.pushPreviews.all(account, capabilitiesIn(hub.connectors));
      return sendFile(writeCsv(rowsOf(previews)), { name: 'push-preview.csv', mediaType: 'text/csv; charset=utf-8' });
    },
  }),
];
