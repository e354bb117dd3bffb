/** Orders of a distributor: in, pushed to their suppliers, recalled. Contract: orders.md. */
import { blockedError, blockersOf, createPushStarts, unmappedBlockers } from '../../activities/push-starts';
import { GIFT_LEFT_OUT } from '../../domain/automation';
import { CANCEL_REASONS } from '../../domain/cancellations';
import { HubError, isHubError } from '../../domain/failures';
import { CURRENCIES, type Currency } from '../../domain/money';
import { PACKAGE_STATUSES } from '../../domain/orders';
import { SHIPPING_KINDS } from '../../domain/pricing';
import { operationIdOf, orderCancelId, orderPushId, orderRecallId } from '../../domain/process-ids';
import type { CancellationDoc, PackageDoc } from '../../store/models/documents';
import { type OrderView, statusOfOrder } from '../../store/repositories/order-lists';
import type { RecallStart } from '../../store/repositories/recalls';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { operationAnswer, operationOf, operationSchema, operationStarted, startStored } from '../operations';
import { listed, listOf, ok, type RouteRequest, route } from '../route';
import {
  currency,
  id,
  instant,
  lineOf,
  moneyAnswer,
  moneyOf,
  ofFields,
  positiveQuantity,
  queryFlag,
  skuCode,
  textOf,
  time,
  warning,
  zeroOrMore,
} from '../schemas/values';
import { z } from '../schemas/zod';
import { tag } from './automation';
import { chargeAnswer, chargeOf } from './billing';
import {
  recallAnswer,
  recallOf,
  recipient,
  returnedAnswer,
  returnedOf,
  shipmentAnswer,
  shipmentOf,
} from './supply-orders';

const ORDER_STATUSES = [...PACKAGE_STATUSES, 'unmapped', 'unpaid'] as const;

const blocker = z
  .looseObject({
    code: z.string(),
    detail: z.string(),
    hint: z.string().optional().openapi({ description: 'What to do about it' }),
  })
  .openapi('Blocker', { description: 'Why a package can not be pushed; orders.md names the codes' });

export const packageSchema = z
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
    failure: z
      .object({
        code: z.string(),
        detail: z.string(),
        held: z.string().openapi({ description: 'What is held, or was undone' }),
        retryable: z.boolean(),
        hint: z.string().nullable().openapi({ description: 'What to do' }),
      })
      .nullable(),
    charge: chargeAnswer.nullable(),
    supplyOrder: z.string().nullable(),
    recall: recallAnswer.extend({ operation: z.string() }).nullable(),
    shipment: shipmentAnswer.nullable(),
    returned: returnedAnswer.nullable(),
    allocationRule: z.string().nullable().openapi({ description: 'The rule that chose its warehouse' }),
    label: z
      .object({ bytes: z.int(), pages: z.int(), handedInAt: time })
      .nullable()
      .openapi({ description: 'The label that was handed in for the supplier to print' }),
    autoPush: z.boolean().openapi({ description: 'It is pushed by itself, or was' }),
    attempt: z.int(),
    operation: z.string().nullable(),
    pushedAt: time.nullable(),
  })
  .openapi('Package');

/** A package as its own account sees it. */
export const packageOf = (row: PackageDoc) => ({
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
  failure: row.failure && { ...row.failure, hint: row.failure.hint ?? null },
  charge: row.charge === null ? null : chargeOf(row.charge),
  supplyOrder: row.supplyOrder,
  recall: row.recall
    ? { ...recallOf(row.recall), operation: operationIdOf(orderRecallId(row._id, row.recall.attempt)) }
    : null,
  shipment: row.shipment ? shipmentOf(row.shipment, row._id) : null,
  returned: returnedOf(row.returned, row.currency),
  allocationRule: row.allocationRule ?? null,
  label: row.label ? { bytes: row.label.bytes, pages: row.label.pages, handedInAt: row.label.handedInAt } : null,
  autoPush: Boolean(row.autoPush),
  attempt: row.attempt,
  operation: row.attempt === 0 ? null : operationIdOf(orderPushId(row._id, row.attempt)),
  pushedAt: row.pushedAt,
});

/** What rules gave an order when it was synced. */
const marksAndGifts = {
  tags: z.array(z.string()),
  marketing: z.boolean(),
  gifts: z.array(
    z.object({
      rule: z.string(),
      sku: z.string(),
      quantity: z.int(),
      package: z.string().nullable(),
      leftOut: z.enum(GIFT_LEFT_OUT).nullable().openapi({ description: 'Why it did not come along' }),
    }),
  ),
};
const cancellationAnswer = z
  .object({
    by: z.enum(['seller', 'buyer']),
    status: z.enum(['recalling', 'telling', 'cancelled', 'rejected', 'withdrawn', 'failed']),
    reason: z.string(),
    lines: z.array(z.string()).nullable().openapi({ description: 'The lines it is of; null where it is the order' }),
    attempt: z.int(),
    operation: z.string(),
    code: z.string().nullable(),
    detail: z.string().nullable(),
    askedAt: time,
    endedAt: time.nullable(),
  })
  .openapi('OrderCancellation');

const cancellationOf = (id: string, row: CancellationDoc) => ({
  by: row.by,
  status: row.state,
  reason: row.reason,
  lines: row.lines ?? null,
  attempt: row.attempt,
  operation: operationIdOf(orderCancelId(id, row.attempt)),
  code: row.code,
  detail: row.detail,
  askedAt: row.askedAt,
  endedAt: row.endedAt,
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
        cancelRequested: z.boolean().openapi({ description: 'The buyer wishes to cancel it' }),
      }),
    ),
    amount: moneyAnswer.nullable().openapi({ description: 'What the buyer pays for the goods, where that is known' }),
    ...marksAndGifts,
    recipient: recipient.nullable(),
    packages: z.array(packageSchema),
    cancellation: cancellationAnswer.nullable(),
    placedAt: time,
    syncedAt: time.nullable(),
  })
  .openapi('Order');

const currencyOf = (code: string): Currency | null => CURRENCIES.find((one) => one === code) ?? null;

function orderOf({ store }: Hub, { order: row, packages }: OrderView) {
  return {
    id: row._id,
    number: row.platformOrder,
    store: row.store === 'api' ? null : row.store,
    storeName: row.storeName,
    platform: row.platform,
    status: statusOfOrder({ order: row, packages }),
    platformState: row.platformState,
    currency: row.currency,
    shipping: row.shipping,
    lines: row.lines.map(({ line, title, sku, quantity, unmappedReason }) => ({
      line,
      title,
      sku,
      quantity,
      unmappedReason,
      cancelRequested: (row.lineWishes ?? []).some((wish) => wish.line === line),
    })),
    amount: moneyOf(row.amount ?? null, currencyOf(row.currency)),
    tags: row.tags ?? [],
    marketing: row.marketing ?? false,
    gifts: (row.gifts ?? []).map(({ rule, sku, quantity, package: pkg, leftOut }) => ({
      ...{ rule, sku, quantity, package: pkg, leftOut },
    })),
    recipient: store.orders.recipientOf(row),
    packages: packages.map(packageOf),
    cancellation: row.cancellation ? cancellationOf(row._id, row.cancellation) : null,
    placedAt: row.placedAt,
    syncedAt: row.syncedAt,
  };
}

const newOrder = z
  .strictObject({
    number: lineOf(100).openapi({ description: 'The order’s number; within a store it identifies the order' }),
    store: id.optional().openapi({ description: 'A store of the account; left out for orders that come without one' }),
    currency,
    shipping: z.enum(SHIPPING_KINDS),
    placedAt: instant.optional(),
    amount: zeroOrMore
      .optional()
      .openapi({ description: 'What the buyer pays for the goods; in the order’s currency' }),
    recipient: z.strictObject({ name: lineOf(200), phone: lineOf(50), address: textOf(1000) }).optional(),
    lines: z
      .array(z.strictObject({ sku: skuCode, quantity: positiveQuantity, title: lineOf(500).optional() }))
      .min(1)
      .max(200),
  })
  .refine(({ amount, currency: of }) => amount === undefined || currencyOf(of) === null || amount.currency === of, {
    ...{ path: ['amount', 'currency'], message: 'must be that of the order', params: { code: 'currency_mismatch' } },
    ...ofFields,
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
    placedAt: body.placedAt?.getTime() ?? at,
    currency: body.currency,
    shipping: body.shipping,
    amount: body.amount?.amount ?? null,
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

const pushStarts = (hub: Hub) => createPushStarts(hub, (start) => startStored(hub, start));

const refusedPackage = z.object({ package: z.string(), code: z.string(), detail: z.string() });
type RefusedRecall = z.output<typeof refusedPackage>;

const pushAnswer = z.object({
  operation: operationSchema,
  operations: z.array(operationSchema).openapi({ description: 'One per package' }),
  blocked: z.array(blocker).openapi({ description: 'What holds back other packages of the order' }),
  refused: z
    .array(refusedPackage)
    .openapi({ description: 'What of the order is not to be pushed any more: recalled, cancelled or gone' }),
});

const recallsAnswer = z.object({
  operation: operationSchema,
  operations: z.array(operationSchema).openapi({ description: 'One per package' }),
  refused: z.array(refusedPackage).openapi({ description: 'What can not be recalled of the order' }),
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
    query: z.strictObject({
      store: id.optional(),
      number: lineOf(100).optional().openapi({ description: 'The order’s number, in whichever store' }),
      status: z.enum(ORDER_STATUSES).optional(),
      partner: id.optional().openapi({ description: 'A partnership that one of its packages is of' }),
      tag: tag.optional(),
      marketing: queryFlag.optional(),
      placedFrom: instant.optional(),
      placedBefore: instant.optional(),
    }),
    paged: true,
    answers: { 200: listOf(order) },
    async handle({ account, query, page }, hub) {
      const found = await hub.store.orders.list(account, withoutUndefined(query), page);
      return listed(found, (view) => orderOf(hub, view));
    },
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
      const { order: id, isNew, lanes } = await takeIn(request, hub);
      hub.processes.wakeLanes(lanes);
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
        blockers: z
          .array(blocker)
          .openapi({ description: 'All of them: of the packages, or of lines that keep the order from having any' }),
        packages: z.array(
          z.object({
            package: z.string(),
            status: z.enum(PACKAGE_STATUSES),
            blockers: z.array(blocker),
            charge: chargeAnswer
              .nullable()
              .openapi({ description: 'What a push would cost; of a pushed package, what it did cost' }),
          }),
        ),
      }),
    },
    async handle({ account, params }, { store }) {
      const { order: row, packages } = await store.orders.get(account, params.id);
      const checks = await store.orders.pushCheck(account, params.id);
      const unmapped = packages.length === 0 ? unmappedBlockers(row.lines) : [];
      const held = blockersOf(checks.map(({ package: pkg, blockers }) => ({ package: pkg._id, blockers })));
      return ok({
        blockers: [...unmapped, ...held],
        packages: checks.map(({ package: pkg, blockers, charge }) => ({
          package: pkg._id,
          status: pkg.status,
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
    summary: 'Push an order to its suppliers, or one package of it; a parked push is tried again',
    moves: true,
    body: z.strictObject({ package: id.optional() }),
    // The push itself changes the order later; its operation, packages and bookings tell what it did.
    audit: { snapshot: null },
    answers: { 200: pushAnswer, 202: pushAnswer },
    async handle(request, hub) {
      await hub.processes.ping();
      const { account, params, caller, body } = request;
      const { begun, blocked, refused } = await pushStarts(hub).begin(account, params.id, caller.key, body.package);
      const [first, ...rest] = begun.map(({ workflowId }) => workflowId);
      if (first === undefined) throw blockedError(blocked);
      return operationStarted(hub, request, [first, ...rest], {
        over: begun.every(({ kind }) => kind === 'pushed'),
        extra: (rows) => ({ operations: rows.map(operationOf), blocked: blockersOf(blocked), refused }),
      });
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
  route({
    method: 'post',
    path: '/v1/orders/{id}/cancel',
    access: 'orders',
    tag: 'orders',
    summary: 'Cancel an order: recalled from its suppliers first, then cancelled at its platform',
    moves: true,
    body: z.strictObject({ reason: z.enum(CANCEL_REASONS).default('customer_request') }),
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      await hub.processes.ping();
      const { account, params, body, command } = request;
      const { over, ...begun } = await hub.store.orders.cancellations.begin(account, params.id, { ...body, command });
      if (!over) await startStored(hub, () => hub.processes.startOrderCancel(begun));
      return operationStarted(hub, request, [orderCancelId(begun.order, begun.attempt)], { over });
    },
  }),
  route({
    method: 'post',
    path: '/v1/orders/{id}/ship',
    access: 'orders',
    tag: 'orders',
    summary: 'Ship the account’s own goods of an order; its platform is told by an operation',
    moves: true,
    body: z.strictObject({
      package: id.optional(),
      carrier: lineOf(100).optional(),
      trackingNumber: lineOf(100),
    }),
    answers: { 200: order },
    async handle({ account, params, body, command }, hub) {
      await hub.processes.ping();
      const { toTell, lanes } = await hub.store.orders.own.ship(account, params.id, {
        ...withoutUndefined({ package: body.package }),
        command,
        carrier: body.carrier ?? null,
        trackingNumber: body.trackingNumber,
      });
      hub.processes.wakeLanes(lanes);
      for (const pkg of toTell) await startStored(hub, () => hub.processes.startSupplyOrder({ account, package: pkg }));
      return ok(orderOf(hub, await hub.store.orders.get(account, params.id)));
    },
  }),
  route({
    method: 'post',
    path: '/v1/orders/{id}/map',
    access: 'orders',
    tag: 'orders',
    summary: 'Say which SKU a line is; with all lines mapped the order is synced',
    body: z.strictObject({
      lines: z
        .array(z.strictObject({ line: lineOf(300), sku: skuCode }))
        .min(1)
        .max(200)
        .refine((lines) => new Set(lines.map(({ line }) => line)).size === lines.length, 'must not name a line twice'),
      remember: z.boolean().default(false).openapi({
        description: 'Connect the listings behind the lines, so that later orders are mapped by themselves',
      }),
    }),
    answers: { 200: order.extend({ warnings: z.array(warning).optional() }) },
    async handle({ account, params, body }, hub) {
      await hub.rates.ensureFor(account);
      const { result, listings } = await hub.store.orders.mapping.map(account, params.id, body.lines);
      hub.processes.wakeLanes(result.lanes);
      const remembered = body.remember ? listings : [];
      const known = remembered.flatMap((one) => (one.known ? [[one.listing, one.sku] as const] : []));
      if (known.length > 0) {
        const pairs = [...new Map(known)].map(([listing, sku]) => ({ listing, sku }));
        hub.processes.wakeLanes((await hub.store.stores.connectListings(account, pairs)).lanes);
      }
      const warnings = remembered.flatMap(({ listing, known: isKnown }) =>
        isKnown
          ? []
          : [
              {
                pointer: '/remember',
                code: 'listing_not_downloaded',
                detail: `The listing ${listing} is not downloaded: later orders of it wait again`,
              },
            ],
      );
      const view = orderOf(hub, await hub.store.orders.get(account, params.id));
      return ok({ ...view, ...(warnings.length === 0 ? {} : { warnings }) });
    },
  }),
];
