/** Distribution products: the supplier's list, and what distributors see and claim of it. Contract: catalogue.md. */
import { beginSettling } from '../../activities/claims';
import { type FailureCode, HubError } from '../../domain/failures';
import type { Currency } from '../../domain/money';
import { CLAIM_CAUSES, DISTRIBUTION_PRODUCT_LIMIT } from '../../domain/partnership';
import { processId } from '../../domain/process-ids';
import type { ClaimDoc, OperationDoc, PartnershipDoc, ProductDoc, ProductLogDoc } from '../../store/models/documents';
import type { RowResult, VisibleProduct } from '../../store/repositories/products';
import type { Hub } from '../hub';
import { listOperation, operationOf, operationSchema, operationStarted, startStored } from '../operations';
import { listed, listOf, ok, type RouteRequest, route } from '../route';
import { lineOf, moneyAnswer, moneyOf, ofItems, queryFlag, skuCode, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';
import { resolveWaitingOrders } from '../waiting-orders';
import { partnershipAs } from './partnerships';

const product = z
  .object({
    sku: z.string(),
    status: z.enum(['publishing', 'enabled', 'disabled']),
    basePrice: moneyAnswer.nullable(),
    createdAt: time,
  })
  .openapi('DistributionProduct');

const productOf = (row: ProductDoc, base: Currency | null) => ({
  sku: row.sku,
  status: row.status,
  basePrice: moneyOf(row.basePrice, base),
  createdAt: row.createdAt,
});

const rowResult = z
  .object({
    sku: z.string(),
    ok: z.boolean(),
    product: product.optional(),
    operation: operationSchema.optional(),
    code: z.string().optional(),
    detail: z.string().optional(),
  })
  .openapi('ProductResult');

const refused = (sku: string, result: { code: FailureCode; detail: string }) => ({
  sku,
  ok: false,
  code: result.code,
  detail: result.detail,
});

const uniqueSkus = (rows: readonly { sku: string }[]) => {
  const named = rows.flatMap(({ sku }) => sku ?? []);
  return new Set(named).size === named.length;
};
const noSkuTwice = { message: 'must not name a SKU twice', ...ofItems };
const newProduct = z.strictObject({ sku: skuCode, basePrice: zeroOrMore.optional() });
const newProducts = z.strictObject({
  products: z.array(newProduct).min(1).max(DISTRIBUTION_PRODUCT_LIMIT).refine(uniqueSkus, noSkuTwice),
});

const publicationId = (row: ProductDoc) =>
  processId('publication', { supplier: row.supplier, sku: row.sku, attempt: String(row.attempt) });

/** Lists the publication and starts it; a product that is published already has nothing to start. */
export async function publish(hub: Hub, row: ProductDoc): Promise<OperationDoc | null> {
  if (row.status !== 'publishing') return null;
  const operation = await listOperation(hub, row.supplier, {
    workflowId: publicationId(row),
    kind: 'product_publication',
    accounts: [row.supplier],
    document: row.sku,
  });
  await startStored(hub, () => hub.processes.startPublication(row.supplier, row.sku, row.attempt));
  return operation;
}

/** Starts the publication of a product that waits for it, and answers with both; without one, with the product alone. */
async function published(hub: Hub, request: Pick<RouteRequest, 'account' | 'waitMs'>, row: ProductDoc) {
  const { baseCurrency } = await hub.store.partnerships.supplier(row.supplier);
  if ((await publish(hub, row)) === null) return ok({ product: productOf(row, baseCurrency) });
  const answer = await operationStarted(hub, request, [publicationId(row)]);
  const current = await hub.store.products.product(row.supplier, row.sku);
  return { ...answer, body: { ...(answer.body as object), product: productOf(current, baseCurrency) } };
}

async function addOne(request: Pick<RouteRequest, 'account' | 'waitMs'>, input: z.output<typeof newProduct>, hub: Hub) {
  const { store } = hub;
  const [result] = await store.products.add(request.account, [{ ...input, basePrice: input.basePrice ?? null }]);
  if (!result?.ok) throw new HubError(result?.code ?? 'internal', result?.detail ?? 'Try again');
  return published(hub, request, result.value);
}

async function addMany(account: string, inputs: readonly z.output<typeof newProduct>[], hub: Hub) {
  const { store } = hub;
  const results = await store.products.add(
    account,
    inputs.map(({ sku, basePrice }) => ({ sku, basePrice: basePrice ?? null })),
  );
  const { baseCurrency } = await store.partnerships.supplier(account);
  const rows = [];
  for (const [index, result] of results.entries()) {
    const sku = inputs[index]?.sku ?? '';
    if (!result.ok) {
      rows.push(refused(sku, result));
      continue;
    }
    const operation = await publish(hub, result.value);
    rows.push({
      sku,
      ok: true,
      product: productOf(result.value, baseCurrency),
      ...(operation === null ? {} : { operation: operationOf(operation) }),
    });
  }
  return ok({ results: rows });
}

const logEntry = z
  .object({
    what: z.enum(['added', 'enabled', 'disabled', 'claimed', 'stopped']),
    who: z.string(),
    distributor: z
      .string()
      .nullable()
      .openapi({ description: 'Whom it was enabled or disabled for, where not for all' }),
    why: z.string().nullable(),
    at: time,
  })
  .openapi('ProductLogEntry');

const logEntryOf = (row: ProductLogDoc) => ({
  what: row.what,
  who: row.who,
  distributor: row.distributor ?? null,
  why: row.why,
  at: row.at,
});

const productDetail = product
  .extend({
    onHand: z.int(),
    available: z.int(),
    warehouses: z.array(z.object({ warehouse: z.string(), onHand: z.int(), available: z.int() })),
    claims: z
      .object({ active: z.int(), inactive: z.int(), stopped: z.int() })
      .openapi({ description: 'How many distributors have such a claim on it, over all time' }),
    sales: z
      .array(z.object({ days: z.int(), units: z.int(), dailyAverage: z.number() }))
      .openapi({ description: 'Units on pushed packages over the last days, and how many a day' }),
  })
  .openapi('DistributionProductDetail');

const reasonInput = z.strictObject({ reason: lineOf(500).optional() });

const switched = z.object({ sku: z.string(), distributor: z.string(), enabled: z.boolean() });

async function switchFor(
  { store, processes }: Hub,
  account: string,
  { sku, id }: { readonly sku: string; readonly id: string },
  enabled: boolean,
  why: string | null,
) {
  const { distributor, lanes } = await store.products.switchFor(account, sku, id, { enabled, why });
  processes.wakeLanes(lanes);
  return ok({ sku, distributor, enabled });
}

const supplierProductRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/products',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'The distribution list by SKU',
    paged: true,
    answers: { 200: listOf(product) },
    async handle({ account, page }, { store }) {
      const { baseCurrency } = await store.partnerships.supplier(account);
      return listed(await store.products.products(account, page), (row) => productOf(row, baseCurrency));
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Put one product on the list ({sku, basePrice}), or many ({products}) with a result for each',
    body: z.union([newProducts, newProduct]),
    answers: {
      200: z.union([
        z.object({ results: z.array(rowResult) }),
        z.object({ operation: operationSchema.optional(), product }),
      ]),
      202: z.object({ operation: operationSchema, product }),
    },
    async handle(request, hub) {
      await hub.processes.ping();
      const { body, account } = request;
      return 'products' in body ? addMany(account, body.products, hub) : addOne(request, body, hub);
    },
  }),
  route({
    method: 'patch',
    path: '/v1/supplier/products',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Set base prices, with a result for each',
    body: z.strictObject({
      products: z
        .array(z.strictObject({ sku: skuCode, basePrice: zeroOrMore }))
        .min(1)
        .max(DISTRIBUTION_PRODUCT_LIMIT)
        .refine(uniqueSkus, noSkuTwice),
    }),
    answers: { 200: z.object({ results: z.array(rowResult) }) },
    async handle({ account, body }, { store }) {
      const results: RowResult<ProductDoc>[] = await store.products.setBasePrices(account, body.products);
      const { baseCurrency } = await store.partnerships.supplier(account);
      return ok({
        results: results.map((result, index) => {
          const sku = body.products[index]?.sku ?? '';
          return result.ok ? { sku, ok: true, product: productOf(result.value, baseCurrency) } : refused(sku, result);
        }),
      });
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/products/{sku}',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'One distribution product, with units on hand in all and per warehouse, its claims and its sales',
    answers: { 200: productDetail },
    async handle({ account, params }, { store }) {
      const row = await store.products.product(account, params.sku);
      const [{ baseCurrency }, levels, claims, sales] = await Promise.all([
        store.partnerships.supplier(account),
        store.stock.levelsIn(account, params.sku),
        store.claims.counts(account, params.sku),
        store.products.sales(account, params.sku),
      ]);
      return ok({
        ...productOf(row, baseCurrency),
        onHand: levels.reduce((sum, level) => sum + level.onHand, 0),
        available: levels.reduce((sum, level) => sum + level.available, 0),
        warehouses: levels.map(({ warehouse, onHand, available }) => ({ warehouse, onHand, available })),
        claims,
        sales,
      });
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/products/{sku}/log',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Every claim, stop, enable and disable: who, when, why; newest first',
    paged: true,
    answers: { 200: listOf(logEntry) },
    async handle({ account, params, page }, { store }) {
      await store.products.product(account, params.sku);
      return listed(await store.products.productLog(account, params.sku, page), logEntryOf);
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products/{sku}/disable',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Disable a product: 0 goes to all distributors; orders synced before can still be pushed',
    body: reasonInput,
    answers: { 200: product },
    async handle({ account, params, body }, hub) {
      const row = await hub.store.products.disable(account, params.sku, body.reason ?? null);
      await beginSettling(hub, account);
      const { baseCurrency } = await hub.store.partnerships.supplier(account);
      return ok(productOf(row, baseCurrency));
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products/{sku}/enable',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Enable a disabled product: it is published again, and stock goes back to the distributors',
    body: reasonInput,
    answers: {
      200: z.object({ operation: operationSchema.optional(), product }),
      202: z.object({ operation: operationSchema, product }),
    },
    async handle(request, hub) {
      await hub.processes.ping();
      const { account, params, body } = request;
      return published(hub, request, await hub.store.products.enable(account, params.sku, body.reason ?? null));
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products/{sku}/distributors/{id}/disable',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Disable a product for one distributor',
    body: reasonInput,
    answers: { 200: switched },
    handle: ({ account, params, body }, hub) => switchFor(hub, account, params, false, body.reason ?? null),
  }),
  route({
    method: 'post',
    path: '/v1/supplier/products/{sku}/distributors/{id}/enable',
    access: 'distribution',
    tag: 'distribution products',
    summary: 'Enable a product for one distributor again',
    body: reasonInput,
    answers: { 200: switched },
    handle: ({ account, params, body }, hub) => switchFor(hub, account, params, true, body.reason ?? null),
  }),
];

const claim = z
  .object({
    sku: z.string().openapi({ description: 'The supplier’s SKU' }),
    as: z.string().openapi({ description: 'The distributor’s own SKU' }),
    status: z.enum(['active', 'inactive', 'stopped']),
    causes: z.array(z.enum(CLAIM_CAUSES)),
    inactiveSince: time.nullable().openapi({ description: 'Since when a cause has held against it' }),
    shownPrice: moneyAnswer.nullable(),
    billedPrice: moneyAnswer.nullable(),
    claimedAt: time,
  })
  .openapi('Claim');

const claimOf = (row: ClaimDoc, settlement: Currency | null) => ({
  sku: row.supplierSku,
  as: row.sku,
  status: row.stopped ? 'stopped' : row.causes.length === 0 ? 'active' : 'inactive',
  causes: row.causes,
  inactiveSince: row.inactiveSince,
  shownPrice: moneyOf(row.shownPrice, settlement),
  billedPrice: moneyOf(row.billedPrice, settlement),
  claimedAt: row.claimedAt,
});

const visibleProduct = z
  .object({
    sku: z.string(),
    name: z.string(),
    price: moneyAnswer.nullable(),
    waitingPrice: moneyAnswer
      .nullable()
      .openapi({ description: 'What the next order is billed, where that is another price' }),
    available: z.int(),
    claim: claim.nullable(),
  })
  .openapi('SupplierProduct');

const amountOf = (value: VisibleProduct['price']) => (value === null ? null : moneyOf(value.amount, value.currency));
const visibleProductOf = (row: VisibleProduct, { settlementCurrency }: PartnershipDoc) => ({
  sku: row.sku,
  name: row.name,
  price: amountOf(row.price),
  waitingPrice: amountOf(row.waitingPrice),
  available: row.available,
  claim: row.claim === null ? null : claimOf(row.claim, settlementCurrency),
});

const distributorProductRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/distributors/{id}/products',
    access: 'distribution',
    tag: 'claims',
    summary: 'What a distributor claimed of the supplier’s products, stopped claims too',
    paged: true,
    answers: { 200: listOf(claim) },
    async handle({ account, params, page }, hub) {
      const { settlementCurrency } = await partnershipAs(hub, 'supplier', account, params.id);
      return listed(await hub.store.claims.list(params.id, page), (row) => claimOf(row, settlementCurrency));
    },
  }),
  route({
    method: 'get',
    path: '/v1/distributor/suppliers/{id}/products',
    access: 'distribution',
    tag: 'claims',
    summary: 'What the distributor sees of a supplier’s products',
    query: z.strictObject({ claimed: queryFlag.optional() }),
    paged: true,
    answers: { 200: listOf(visibleProduct) },
    async handle({ account, params, query, page }, { store, rates }) {
      const partnership = await store.partnerships.get(account, params.id);
      await rates.ensure(await store.partnerships.supplier(partnership.supplier), partnership.settlementCurrency);
      const products = await store.products.visible(account, params.id, query, page);
      return listed(products, (row) => visibleProductOf(row, partnership));
    },
  }),
  route({
    method: 'post',
    path: '/v1/distributor/suppliers/{id}/claims',
    access: 'distribution',
    tag: 'claims',
    summary: 'Claim a product: it becomes a SKU of the distributor',
    body: z.strictObject({
      sku: skuCode,
      as: skuCode.optional().openapi({ description: 'The code of the own SKU; the supplier’s where it is left out' }),
    }),
    answers: { 201: claim },
    async handle({ account, params, body }, hub) {
      const { store, processes, rates } = hub;
      const { supplier, settlementCurrency } = await store.partnerships.get(account, params.id);
      await rates.ensure(await store.partnerships.supplier(supplier), settlementCurrency);
      const { claim: row, lanes } = await store.claims.claim(account, params.id, {
        sku: body.sku,
        as: body.as ?? null,
      });
      processes.wakeLanes(lanes);
      await resolveWaitingOrders(hub, account, row.sku);
      return { status: 201, body: claimOf(row, settlementCurrency) };
    },
  }),
  route({
    method: 'delete',
    path: '/v1/distributor/suppliers/{id}/claims/{sku}',
    access: 'distribution',
    tag: 'claims',
    summary: 'End a claim; not while unfinished orders hold it. It can be claimed again',
    answers: { 200: claim },
    async handle({ account, params }, { store, processes }) {
      const { settlementCurrency } = await store.partnerships.get(account, params.id);
      const { claim: row, lanes } = await store.claims.stop(account, params.id, params.sku);
      processes.wakeLanes(lanes);
      return ok(claimOf(row, settlementCurrency));
    },
  }),
];

export const productRoutes = [...supplierProductRoutes, ...distributorProductRoutes];
