/** Orders of a distributor: in, pushed to their suppliers, recalled. Contract: orders.md. */
import pLimit from 'p-limit';
import { HubError, isHubError } from '../../domain/failures';
import { orderStatusOf, PACKAGE_STATUSES } from '../../domain/orders';
import { SHIPPING_KINDS } from '../../domain/pricing';
import { operationIdOf, orderPushId, orderRecallId } from '../../domain/process-ids';
import type { OrderDoc, PackageDoc } from '../../store/models/documents';
import type { OrderView, PushStart } from '../../store/repositories/orders';
import type { RecallStart } from '../../store/repositories/recalls';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { operationOf, operationSchema, operationStarted, startStored } from '../operations';
import { listed, listOf, ok, type RouteRequest, route } from '../route';
import { currency, id, lineOf, moneyAnswer, moneyOf, positiveQuantity, skuCode, textOf, time } from '../schemas/values';
import { z } from '../schemas/zod';
import { chargeAnswer, chargeOf } from './billing';
import { recallAnswer, recallOf, recipient, shipmentAnswer, shipmentOf } from './supply-orders';

const ORDER_STATUSES = [...PACKAGE_STATUSES, 'unmapped', 'unpaid'] as const;
const BULK_MOST = 200;
const BULK_AT_ONCE = 4;

const blocker = z
  .looseObject({ code: z.string(), detail: z.string() })
  .openapi('Blocker', { description: 'Why a package can not be pushed; orders.md names the codes' });

const packageSchema = z
  .object({
    id: z.string(),
    status: z.enum(PACKAGE_STATUSES),
    partnership: z.string().nullable(),
    warehouse: z.string().nullable(),
    lines: z.array(
      z.object({
        line: z.string(),
        sku: z.string(),
        supplierSku: z.string().nullable(),
        quantity: z.int(),
        price: moneyAnswer.nullable(),
        priceReason: z.string().nullable(),
      }),
    ),
    blockers: z.array(blocker),
    retryable: z.boolean(),
    failure: z.object({ code: z.string(), detail: z.string(), held: z.string(), retryable: z.boolean() }).nullable(),
    charge: chargeAnswer.nullable(),
    supplyOrder: z.string().nullable(),
    recall: recallAnswer.extend({ operation: z.string() }).nullable(),
    shipment: shipmentAnswer.nullable(),
    attempt: z.int(),
    operation: z.string().nullable(),
    pushedAt: time.nullable(),
  })
  .openapi('Package');

const packageOf = (row: PackageDoc) => ({
  id: row._id,
  status: row.status,
  partnership: row.partnership,
  warehouse: row.warehouse,
  lines: row.lines.map((line) => ({
    line: line.line,
    sku: line.sku,
    supplierSku: line.supplierSku,
    quantity: line.quantity,
    price: moneyOf(line.price, row.currency),
    priceReason: line.priceReason,
  })),
  blockers: row.blockers,
  retryable: row.parked || (row.failure?.retryable ?? false),
  failure: row.failure,
  charge: row.charge === null ? null : chargeOf(row.charge),
  supplyOrder: row.supplyOrder,
  recall: row.recall
    ? { ...recallOf(row.recall), operation: operationIdOf(orderRecallId(row._id, row.recall.attempt)) }
    : null,
  shipment: row.shipment ? shipmentOf(row.shipment, row._id) : null,
  attempt: row.attempt,
  operation: row.attempt === 0 ? null : operationIdOf(orderPushId(row._id, row.attempt)),
  pushedAt: row.pushedAt,
});

const order = z
  .object({
    id: z.string(),
    number: z.string(),
    store: z.string().nullable(),
    storeName: z.string(),
    platform: z.string(),
    status: z.enum(ORDER_STATUSES),
    platformState: z.string(),
    currency: z.string(),
    shipping: z.enum(SHIPPING_KINDS),
    lines: z.array(
      z.object({
        line: z.string(),
        title: z.string(),
        sku: z.string().nullable(),
        quantity: z.int(),
        unmappedReason: z.enum(['no_such_listing', 'listing_not_connected', 'no_such_sku']).nullable(),
      }),
    ),
    recipient: recipient.nullable(),
    packages: z.array(packageSchema),
    placedAt: time,
    syncedAt: time.nullable(),
  })
  .openapi('Order');

const isUnmapped = (row: OrderDoc) => row.lines.some(({ unmappedReason }) => unmappedReason !== null);

function orderOf({ store }: Hub, { order: row, packages }: OrderView) {
  return {
    id: row._id,
    number: row.platformOrder,
    store: row.store === 'api' ? null : row.store,
    storeName: row.storeName,
    platform: row.platform,
    status: orderStatusOf({
      unmapped: row.syncedAt === null && row.state !== 'unpaid' && isUnmapped(row),
      cancelled: row.state === 'cancelled',
      synced: row.syncedAt !== null,
      packages,
    }),
    platformState: row.platformState,
    currency: row.currency,
    shipping: row.shipping,
    lines: row.lines.map(({ line, title, sku, quantity, unmappedReason }) => ({
      line,
      title,
      sku,
      quantity,
      unmappedReason,
    })),
    recipient: store.orders.recipientOf(row),
    packages: packages.map(packageOf),
    placedAt: row.placedAt,
    syncedAt: row.syncedAt,
  };
}

const newOrder = z.strictObject({
  number: lineOf(100).openapi({ description: 'The order’s number; within a store it identifies the order' }),
  store: id.optional().openapi({ description: 'A store of the account; left out for orders that come without one' }),
  currency,
  shipping: z.enum(SHIPPING_KINDS),
  placedAt: z.iso.datetime().optional(),
  recipient: z.strictObject({ name: lineOf(200), phone: lineOf(50), address: textOf(1000) }).optional(),
  lines: z
    .array(z.strictObject({ sku: skuCode, quantity: positiveQuantity, title: lineOf(500).optional() }))
    .min(1)
    .max(200),
});

async function takeIn(
  { account, body }: Pick<RouteRequest<never, unknown, z.output<typeof newOrder>>, 'account' | 'body'>,
  hub: Hub,
) {
  const shop = body.store === undefined ? null : await hub.store.stores.get(account, body.store);
  const at = hub.now().getTime();
  await hub.rates.ensureFor(account);
  return hub.store.orders.takeIn({
    account,
    store: shop?._id ?? 'api',
    platform: shop?.platform ?? 'api',
    storeName: shop?.name ?? 'API',
    platformOrder: body.number,
    state: 'ready_to_ship',
    platformState: 'ready_to_ship',
    // What the platform itself says of an order of its store is always newer.
    version: shop === null ? at : 1,
    placedAt: body.placedAt === undefined ? at : Date.parse(body.placedAt),
    currency: body.currency,
    shipping: body.shipping,
    recipient: body.recipient ?? null,
    lines: body.lines.map(({ sku, quantity, title }, index) => ({
      line: String(index + 1),
      title: title ?? sku,
      quantity,
      listing: null,
      sku,
    })),
  });
}

type Blocked = Extract<PushStart, { kind: 'blocked' }>;
type Begun = Exclude<PushStart, Blocked>;

/** Begins or resumes the push of one package; what is pushed or running stays as it is. */
async function beginPackage(hub: Hub, { account, caller }: Pick<RouteRequest, 'account' | 'caller'>, pkg: PackageDoc) {
  const start = await hub.store.orders.beginPush(account, pkg._id);
  if (start.kind === 'started' || start.kind === 'running')
    await startStored(hub, () =>
      hub.processes.startOrderPush({
        account,
        package: start.package,
        attempt: start.attempt,
        supplier: start.supplier,
      }),
    );
  if (start.kind === 'parked')
    await hub.processes.decide(start.workflowId, 'retry', caller.key).catch((error: unknown) => {
      // Somebody decided just now, or its workflow is gone and the sweep brings it back: it goes on either way.
      if (!isHubError(error) || error.code !== 'operation_not_parked') throw error;
    });
  return start;
}

/** Pushes every package of an order that has a supplier. */
async function beginOrder(
  hub: Hub,
  request: Pick<RouteRequest, 'account' | 'caller'>,
  id: string,
): Promise<{ begun: Begun[]; blocked: Blocked[] }> {
  const { order: row, packages } = await hub.store.orders.get(request.account, id);
  const unmapped = row.lines.filter(({ unmappedReason }) => unmappedReason !== null);
  if (packages.length === 0 && unmapped.length > 0)
    throw new HubError('push_blocked', 'Some lines have no mapping', {
      members: {
        blockers: unmapped.map(({ line, unmappedReason }) => ({
          code: 'sku_not_mapped',
          line,
          detail: `Line ${line} has no mapping: ${unmappedReason}`,
        })),
      },
    });
  const pushable = packages.filter(({ partnership }) => partnership !== null);
  if (pushable.length === 0)
    throw new HubError(
      'not_pushable',
      packages.length === 0 ? `The order is ${row.state}` : 'The order holds the account’s own goods alone',
    );
  const starts: PushStart[] = [];
  for (const pkg of pushable) starts.push(await beginPackage(hub, request, pkg));
  return {
    begun: starts.filter((start): start is Begun => start.kind !== 'blocked'),
    blocked: starts.filter((start): start is Blocked => start.kind === 'blocked'),
  };
}

const blockersOf = (blocked: readonly Blocked[]) =>
  blocked.flatMap(({ package: pkg, blockers }) => blockers.map((one) => ({ ...one, package: pkg })));

function blockedError(blocked: readonly Blocked[]): HubError {
  const blockers = blockersOf(blocked);
  return new HubError('push_blocked', blockers.map(({ detail }) => detail).join('; '), { members: { blockers } });
}

const pushAnswer = z.object({
  operation: operationSchema,
  operations: z.array(operationSchema).openapi({ description: 'One per package' }),
  blocked: z.array(blocker).openapi({ description: 'What holds back other packages of the order' }),
});

const bulkResult = z
  .object({
    order: z.string(),
    ok: z.boolean(),
    operations: z.array(operationSchema).optional(),
    blockers: z.array(blocker).optional(),
    code: z.string().optional(),
    detail: z.string().optional(),
  })
  .openapi('OrderPushResult');

async function pushOneOfMany(hub: Hub, request: Pick<RouteRequest, 'account' | 'caller'>, id: string) {
  try {
    const { begun, blocked } = await beginOrder(hub, request, id);
    if (begun.length === 0) throw blockedError(blocked);
    const rows = await Promise.all(
      begun.map(({ workflowId }) => hub.store.operations.get(request.account, operationIdOf(workflowId))),
    );
    return { order: id, ok: true, operations: rows.map(operationOf), blockers: blockersOf(blocked) };
  } catch (error) {
    if (!isHubError(error) || error.retryable) throw error;
    const { blockers } = (error.extra.members ?? {}) as { blockers?: unknown };
    return {
      order: id,
      ok: false,
      code: error.code,
      detail: error.detail,
      ...(blockers === undefined ? {} : { blockers }),
    };
  }
}

const refusedRecall = z.object({ package: z.string(), code: z.string(), detail: z.string() });
type RefusedRecall = z.output<typeof refusedRecall>;

const recallsAnswer = z.object({
  operation: operationSchema,
  operations: z.array(operationSchema).openapi({ description: 'One per package' }),
  refused: z.array(refusedRecall).openapi({ description: 'What can not be recalled of the order' }),
});

/** Asks for packages back, each on its own: one that can't be recalled keeps no other from it. */
async function beginRecalls(
  hub: Hub,
  { account, command }: Pick<RouteRequest, 'account' | 'command'>,
  packages: readonly PackageDoc[],
): Promise<{ begun: RecallStart[]; refused: RefusedRecall[] }> {
  const begun: RecallStart[] = [];
  const refused: RefusedRecall[] = [];
  for (const { _id } of packages)
    try {
      const start = await hub.store.orders.recall(account, _id, command, hub.config.recall.answerMs);
      begun.push(start);
      hub.processes.wakeLanes(start.lanes);
      if (start.pushToEnd !== null) hub.processes.endPush(start.pushToEnd);
      if (!start.over)
        await startStored(hub, () =>
          hub.processes.startOrderRecall({ account, package: start.package, attempt: start.attempt }),
        );
    } catch (error) {
      if (!isHubError(error) || error.retryable) throw error;
      refused.push({ package: _id, code: error.code, detail: error.detail });
    }
  return { begun, refused };
}

export const orderRoutes = [
  route({
    method: 'get',
    path: '/v1/orders',
    access: 'orders',
    tag: 'orders',
    summary: 'Orders, newest first',
    query: z.strictObject({ store: id.optional() }),
    paged: true,
    answers: { 200: listOf(order) },
    handle: async ({ account, query, page }, hub) =>
      listed(await hub.store.orders.list(account, withoutUndefined({ store: query.store }), page), (view) =>
        orderOf(hub, view),
      ),
  }),
  route({
    method: 'post',
    path: '/v1/orders',
    access: 'orders',
    tag: 'orders',
    summary: 'Take an order in; the same number in the same store updates the same order',
    body: newOrder,
    answers: { 200: order, 201: order },
    async handle(request, hub) {
      const { order: id, outcome, lanes } = await takeIn(request, hub);
      hub.processes.wakeLanes(lanes);
      const isNew = outcome === 'synced' || outcome === 'unmapped';
      const body = orderOf(hub, await hub.store.orders.get(request.account, id));
      return { status: isNew ? 201 : 200, body, headers: { Location: `/v1/orders/${id}` } };
    },
  }),
  route({
    method: 'get',
    path: '/v1/orders/{id}',
    access: 'orders',
    tag: 'orders',
    summary: 'One order with its packages',
    answers: { 200: order },
    handle: async ({ account, params }, hub) => ok(orderOf(hub, await hub.store.orders.get(account, params.id))),
  }),
  route({
    method: 'get',
    path: '/v1/orders/{id}/push-check',
    access: 'orders',
    tag: 'orders',
    summary: 'Every blocker that holds now, and what the push would cost; changes nothing',
    answers: {
      200: z.object({
        packages: z.array(
          z.object({ package: z.string(), blockers: z.array(blocker), charge: chargeAnswer.nullable() }),
        ),
      }),
    },
    async handle({ account, params }, { store }) {
      const checks = await store.orders.pushCheck(account, params.id);
      return ok({
        packages: checks.map(({ package: pkg, blockers, charge }) => ({
          package: pkg._id,
          blockers,
          charge: charge === null ? null : chargeOf(charge),
        })),
      });
    },
  }),
  route({
    method: 'post',
    path: '/v1/orders/{id}/push',
    access: 'orders',
    tag: 'orders',
    summary: 'Push an order to its suppliers; a parked push is tried again',
    moves: true,
    // The push itself changes the order later; its operation, packages and bookings tell what it did.
    audit: { snapshot: null },
    answers: { 200: pushAnswer, 202: pushAnswer },
    async handle(request, hub) {
      await hub.processes.ping();
      const { begun, blocked } = await beginOrder(hub, request, request.params.id);
      const [first, ...rest] = begun.map(({ workflowId }) => workflowId);
      if (first === undefined) throw blockedError(blocked);
      return operationStarted(hub, request, [first, ...rest], {
        over: begun.every(({ kind }) => kind === 'pushed'),
        extra: (rows) => ({ operations: rows.map(operationOf), blocked: blockersOf(blocked) }),
      });
    },
  }),
  route({
    method: 'post',
    path: '/v1/orders/push',
    access: 'orders',
    tag: 'orders',
    summary: 'Push many orders, with a result for each',
    moves: true,
    audit: { action: 'orders.push-many', objects: ({ body }) => body.orders },
    body: z.strictObject({
      orders: z
        .array(id)
        .min(1)
        .max(BULK_MOST)
        .refine((ids) => new Set(ids).size === ids.length, 'must not name an order twice'),
    }),
    answers: { 200: z.object({ results: z.array(bulkResult) }), 202: z.object({ results: z.array(bulkResult) }) },
    async handle(request, hub) {
      await hub.processes.ping();
      const turn = pLimit(BULK_AT_ONCE);
      const results = await Promise.all(request.body.orders.map((one) => turn(() => pushOneOfMany(hub, request, one))));
      return { status: results.some(({ ok: started }) => started) ? 202 : 200, body: { results } };
    },
  }),
  route({
    method: 'post',
    path: '/v1/orders/{id}/recall',
    access: 'orders',
    tag: 'orders',
    summary: 'Ask the suppliers for an order back, or for one package of it',
    moves: true,
    body: z.strictObject({ package: id.optional() }),
    answers: { 200: recallsAnswer, 202: recallsAnswer },
    async handle(request, hub) {
      await hub.processes.ping();
      const { account, params, body } = request;
      const { packages } = await hub.store.orders.get(account, params.id);
      const wanted =
        body.package === undefined
          ? packages.filter(({ partnership }) => partnership !== null)
          : packages.filter(({ _id }) => _id === body.package);
      if (body.package !== undefined && wanted.length === 0)
        throw new HubError('not_found', `The order has no package ${body.package}`);
      const { begun, refused } = await beginRecalls(hub, request, wanted);
      const [first, ...rest] = begun.map(({ workflowId }) => workflowId);
      if (first === undefined) {
        const why = refused.find(({ code }) => code === 'recall_not_possible') ?? refused[0];
        throw new HubError(
          why?.code === 'recall_not_possible' ? 'recall_not_possible' : 'not_pushed',
          why?.detail ?? 'The order has no package that a supplier was given',
          { members: { refused } },
        );
      }
      return operationStarted(hub, request, [first, ...rest], {
        over: begun.every(({ over }) => over),
        extra: (rows) => ({ operations: rows.map(operationOf), refused }),
      });
    },
  }),
];
