/** SKUs, warehouses and stock. */
import { isPermitted } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { ADJUSTMENT_KINDS } from '../../domain/stock';
import { pageOf } from '../../store/database';
import type { SkuDoc, StockDoc, StockJournalDoc, WarehouseDoc } from '../../store/models/documents';
import { withoutUndefined } from '../input';
import { operationOf, operationSchema } from '../operations';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { id, lineOf, ofFields, positiveQuantity, quantity, skuCode, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';
import { resolveWaitingOrders } from '../waiting-orders';
import { publish } from './products';

const component = z.strictObject({ sku: skuCode, quantity: z.int().min(1).max(10_000) });

const sku = z
  .object({
    sku: z.string(),
    name: z.string(),
    kind: z.enum(['single', 'combination']),
    components: z.array(z.object({ sku: z.string(), quantity: z.int() })),
    category: z.string().nullable().openapi({ description: 'Push rules can name it' }),
    supplier: z
      .object({ partnership: z.string(), sku: z.string() })
      .nullable()
      .openapi({ description: 'Where its stock comes from, if not from this account' }),
    createdAt: time,
  })
  .openapi('Sku');

const skuOf = (row: SkuDoc) => ({
  sku: row.sku,
  name: row.name,
  kind: row.kind,
  components: row.components,
  category: row.category ?? null,
  supplier: row.mirror ? { partnership: row.mirror.partnership, sku: row.mirror.supplierSku } : null,
  createdAt: row.createdAt,
});

const warehouse = z
  .object({
    id: z.string(),
    name: z.string(),
    kind: z.enum(['own', 'third_party', 'supplier']),
    partnership: z.string().nullable(),
    createdAt: time,
  })
  .openapi('Warehouse');

const warehouseOf = (row: WarehouseDoc) => ({
  id: row._id,
  name: row.name,
  kind: row.kind,
  partnership: row.source?.partnership ?? null,
  createdAt: row.createdAt,
});

const levels = z.object({
  onHand: z.int(),
  allocated: z.int(),
  reserved: z.int(),
  inTransit: z.int(),
});
const answeredLevels = levels.extend({ available: z.int() });
const stock = answeredLevels.extend({ warehouse: z.string(), sku: z.string(), mirrored: z.boolean() }).openapi('Stock');

const stockOf = (row: StockDoc) => ({
  warehouse: row.warehouse,
  sku: row.sku,
  onHand: row.onHand,
  allocated: row.allocated,
  reserved: row.reserved,
  inTransit: row.inTransit,
  available: row.available,
  mirrored: row.mirrored,
});

const journalEntry = z
  .object({
    id: z.string(),
    warehouse: z.string(),
    sku: z.string(),
    kind: z.string(),
    reason: z.string(),
    document: z.string(),
    before: levels,
    after: levels,
    at: time,
  })
  .openapi('StockJournalEntry');

const journalEntryOf = (row: StockJournalDoc) => ({
  id: row._id,
  warehouse: row.warehouse,
  sku: row.sku,
  kind: row.kind,
  reason: row.reason,
  document: row.document,
  before: row.before,
  after: row.after,
  at: row.at,
});

const stockFilter = z.strictObject({ sku: skuCode.optional(), warehouse: id.optional() });
/** Setting a quantity to 0 is a change; adding or taking 0 is none. */
const MOVING_KINDS: readonly string[] = ADJUSTMENT_KINDS.filter((kind) => kind !== 'count' && kind !== 'inTransit');
const adjustment = z
  .strictObject({ warehouse: id, sku: skuCode, kind: z.enum(ADJUSTMENT_KINDS), quantity, reason: lineOf(500) })
  .refine(({ kind, quantity: units }) => units !== 0 || !MOVING_KINDS.includes(kind), {
    ...{ path: ['quantity'], message: 'must be at least 1', params: { code: 'too_small' } },
    ...ofFields,
  });
const transfer = z
  .strictObject({ from: id, to: id, sku: skuCode, quantity: positiveQuantity, reason: lineOf(500) })
  .refine(({ from, to }) => from === undefined || from !== to, {
    ...{ path: ['to'], message: 'must be another warehouse' },
    ...ofFields,
  });

const newSku = z
  .strictObject({
    sku: skuCode,
    name: lineOf(300),
    category: lineOf(100).nullable().optional(),
    components: z
      .array(component)
      .min(1)
      .max(50)
      .refine((parts) => new Set(parts.map((part) => part.sku)).size === parts.length, 'must not name a SKU twice')
      .optional(),
    distribution: z.boolean().optional().openapi({ description: 'Put it on the distribution list at once' }),
    basePrice: zeroOrMore.optional().openapi({ description: 'With distribution on' }),
  })
  .refine(({ distribution, basePrice }) => basePrice === undefined || distribution === true, {
    ...{ path: ['basePrice'], message: 'needs distribution to be on' },
    ...ofFields,
  });

export const catalogueRoutes = [
  route({
    method: 'get',
    path: '/v1/skus',
    access: 'inventory',
    tag: 'stock',
    summary: 'Merchant SKUs by code',
    paged: true,
    answers: { 200: listOf(sku) },
    handle: async ({ account, page }, { store }) => listed(await store.catalogue.skus(account, page), skuOf),
  }),
  route({
    method: 'post',
    path: '/v1/skus',
    access: 'inventory',
    tag: 'stock',
    summary: 'Make a SKU; with components it is a combination',
    body: newSku,
    answers: { 201: sku.extend({ operation: operationSchema.optional() }) },
    async handle({ account, caller, body, command }, hub) {
      const { sku: code, name, category = null, components = [], distribution = false, basePrice = null } = body;
      const location = `/v1/skus/${encodeURIComponent(code)}`;
      const input = { sku: code, name, category, components, command };
      if (!distribution) {
        const row = await hub.store.catalogue.addSku(account, input);
        await resolveWaitingOrders(hub, account, code);
        return created(skuOf(row), location);
      }
      if (!isPermitted(caller.permissions, 'distribution'))
        throw new HubError('permission_missing', 'Distribution needs the permission distribution', {
          members: { permission: 'distribution' },
        });
      await hub.processes.ping();
      const made = await hub.store.products.addWithSku(account, input, basePrice);
      const operation = await publish(hub, made.product);
      await resolveWaitingOrders(hub, account, code);
      return created(
        { ...skuOf(made.sku), ...(operation === null ? {} : { operation: operationOf(operation) }) },
        location,
      );
    },
  }),
  route({
    method: 'get',
    path: '/v1/skus/{sku}',
    access: 'inventory',
    tag: 'stock',
    summary: 'One SKU',
    answers: { 200: sku },
    handle: async ({ account, params }, { store }) => ok(skuOf(await store.catalogue.sku(account, params.sku))),
  }),
  route({
    method: 'patch',
    path: '/v1/skus/{sku}',
    access: 'inventory',
    tag: 'stock',
    summary: 'Change a SKU’s name or category',
    body: z
      .strictObject({ name: lineOf(300), category: lineOf(100).nullable() })
      .partial()
      .refine((change) => Object.keys(change).length > 0, 'must change something'),
    answers: { 200: sku },
    handle: async ({ account, params, body }, { store }) =>
      ok(skuOf(await store.catalogue.changeSku(account, params.sku, withoutUndefined(body)))),
  }),
  route({
    method: 'delete',
    path: '/v1/skus/{sku}',
    access: 'inventory',
    tag: 'stock',
    summary: 'Delete a SKU that nothing needs any more; its listings are pushed as 0 and unconnected',
    answers: { 204: null },
    async handle({ account, params }, { store, processes }) {
      processes.wakeLanes(await store.catalogue.removeSku(account, params.sku));
      return noContent;
    },
  }),
  route({
    method: 'get',
    path: '/v1/warehouses',
    access: 'inventory',
    tag: 'stock',
    summary: 'Warehouses: own ones, and views of suppliers’',
    paged: true,
    answers: { 200: listOf(warehouse) },
    handle: async ({ account, page }, { store }) =>
      listed(await store.catalogue.warehouses(account, page), warehouseOf),
  }),
  route({
    method: 'post',
    path: '/v1/warehouses',
    access: 'inventory',
    tag: 'stock',
    summary: 'Make a warehouse',
    body: z.strictObject({ name: lineOf(200) }),
    answers: { 201: warehouse },
    handle: async ({ account, body, command }, { store }) =>
      created(warehouseOf(await store.catalogue.addWarehouse(account, { ...body, command }))),
  }),
  route({
    method: 'get',
    path: '/v1/stock',
    access: 'inventory',
    tag: 'stock',
    summary: 'Quantities per warehouse and SKU',
    query: stockFilter,
    paged: true,
    answers: { 200: listOf(stock) },
    async handle({ account, query, page }, { store }) {
      if (query.sku !== undefined) {
        const entry = await store.catalogue.sku(account, query.sku);
        // A combination has no rows of its own: its sets are counted.
        if (entry.kind === 'combination') {
          const places = query.warehouse === undefined ? undefined : [query.warehouse];
          const sets = await store.stock.levelsIn(account, query.sku, places);
          return listed(
            pageOf(sets, page, ({ _id }) => _id),
            stockOf,
          );
        }
      }
      return listed(await store.stock.list(account, { sku: query.sku, warehouse: query.warehouse }, page), stockOf);
    },
  }),
  route({
    method: 'post',
    path: '/v1/stock/adjustments',
    access: 'inventory',
    tag: 'stock',
    summary: 'Stock in, stock out, count, reserve, unreserve, in transit',
    moves: true,
    body: adjustment,
    audit: {
      objects: ({ body }) => [body.sku, body.warehouse],
      async snapshot({ account, body: { warehouse, sku } }, { store }) {
        const levels = await store.stock.levelsAt(account, warehouse, sku);
        return levels && { warehouse, sku, ...levels };
      },
      answerIsAfter: true,
    },
    answers: { 200: answeredLevels.extend({ warehouse: z.string(), sku: z.string() }) },
    async handle({ account, body, command }, { store, processes }) {
      const { levels: after, lanes } = await store.stock.adjust({
        ...body,
        account,
        document: command,
        key: `adjust/${command}`,
      });
      processes.wakeLanes(lanes);
      return ok({ warehouse: body.warehouse, sku: body.sku, ...after });
    },
  }),
  route({
    method: 'post',
    path: '/v1/stock/transfers',
    access: 'inventory',
    tag: 'stock',
    summary: 'Move units between two own warehouses',
    moves: true,
    body: transfer,
    audit: {
      objects: ({ body }) => [body.sku, body.from, body.to],
      snapshot: async ({ account, body }, { store }) =>
        (await store.stock.levelsIn(account, body.sku, [body.from, body.to])).map(stockOf),
    },
    answers: { 200: z.object({ sku: z.string(), from: answeredLevels, to: answeredLevels }) },
    async handle({ account, body, command }, { store, processes }) {
      const { from, to, lanes } = await store.stock.transfer({
        ...body,
        account,
        document: command,
        key: `transfer/${command}`,
      });
      processes.wakeLanes(lanes);
      return ok({ sku: body.sku, from, to });
    },
  }),
  route({
    method: 'get',
    path: '/v1/stock/journal',
    access: 'inventory',
    tag: 'stock',
    summary: 'Every change of stock, newest first',
    query: stockFilter,
    paged: true,
    answers: { 200: listOf(journalEntry) },
    handle: async ({ account, query, page }, { store }) =>
      listed(await store.stock.journal(account, { sku: query.sku, warehouse: query.warehouse }, page), journalEntryOf),
  }),
];
