/** Supply orders: what suppliers were handed, how they move it on, and how they answer recalls. Contract: orders.md. */
import { FOLLOWED, SHIPPING_RULES_OF } from '../../domain/automation';
import { HubError } from '../../domain/failures';
import type { Currency } from '../../domain/money';
import { SHIPPING_KINDS } from '../../domain/pricing';
import { operationIdOf, supplyOrderProcessId } from '../../domain/process-ids';
import type { LineUnits } from '../../domain/returns';
import {
  OUTBOUND_STATES,
  RECALL_STATES,
  SHIPMENT_NOTICES,
  SUPPLY_ORDER_STATUSES,
  type SupplyOrderMove,
} from '../../domain/supply-orders';
import type { RecallDoc, ReturnedDoc, ShipmentDoc, SupplyOrderDoc } from '../../store/models/documents';
import type { MoveInput } from '../../store/repositories/supply-orders';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { endsInTime, startStored } from '../operations';
import { type Answer, listed, listOf, ok, type RouteRequest, route } from '../route';
import { lineOf, moneyAnswer, moneyOf, textOf, time } from '../schemas/values';
import { z } from '../schemas/zod';
import { tag } from './automation';
import { chargeAnswer, chargeOf } from './billing';

export const recipient = z.object({ name: z.string(), phone: z.string(), address: z.string() });

export const recallAnswer = z.object({
  attempt: z.int(),
  status: z
    .enum(RECALL_STATES)
    .openapi({ description: '`asked`: the supplier may confirm or refuse until `answerBy`' }),
  by: z.enum(['distributor', 'buyer']),
  askedAt: time,
  answerBy: time.nullable(),
  endedAt: time.nullable(),
  code: z.string().nullable(),
  detail: z.string().nullable().openapi({ description: 'Why it failed, or how it succeeded' }),
});

/** The last recall of a package, as both sides see it. */
export const recallOf = ({ attempt, state, by, askedAt, answerBy, endedAt, code, detail }: RecallDoc) => ({
  attempt,
  status: state,
  by,
  askedAt,
  answerBy,
  endedAt,
  code,
  detail,
});

export const shipmentAnswer = z.object({
  carrier: z.string().nullable(),
  trackingNumber: z.string(),
  at: time,
  platform: z.enum(SHIPMENT_NOTICES).openapi({
    description: 'Whether the platform was told; `waiting`: once the other packages of the order are out too',
  }),
  detail: z.string().nullable(),
  operation: z.string().nullable().openapi({ description: 'Tells the platform; null where there is none to tell' }),
});

/** How the goods left, as both sides see it. */
export const shipmentOf = (row: ShipmentDoc, pkg: string) => ({
  carrier: row.carrier,
  trackingNumber: row.trackingNumber,
  at: row.at,
  platform: row.platform,
  detail: row.detail,
  operation: row.platform === 'none' ? null : operationIdOf(supplyOrderProcessId(pkg)),
});

const unitsAnswer = z.array(z.object({ line: z.string(), quantity: z.int() }));

export const returnedAnswer = z.object({ lines: unitsAnswer, refunded: moneyAnswer, charged: moneyAnswer }).openapi({
  description: 'What came back over all returns, what of the charge was given back, and the stock-in return charges',
});

const unitsOf = (units: readonly LineUnits[]) => units.map(({ line, quantity }) => ({ line, quantity }));

/** What came back so far, as both sides see it. */
export const returnedOf = (row: ReturnedDoc | null | undefined, currency: Currency | null) =>
  row && currency
    ? {
        lines: unitsOf(row.lines),
        refunded: moneyOf(row.refunded, currency),
        charged: moneyOf(row.charged, currency),
      }
    : null;

const carrierAnswer = z
  .object({ name: z.string(), rule: z.string(), of: z.enum(SHIPPING_RULES_OF) })
  .openapi({ description: 'Chosen by a shipping rule' });

const automaticAnswer = z
  .object({
    pack: z.string().nullable().openapi({ description: 'The rule that packs it' }),
    countsAs: z.enum(SHIPPING_KINDS).nullable().openapi({ description: 'How it counts for that rule' }),
    follow: z.enum(FOLLOWED).nullable().openapi({ description: 'Where it follows its platform to' }),
    open: z.boolean().openapi({ description: 'Still to be done' }),
  })
  .openapi({ description: 'What is done to it by itself' });

const outboundAnswer = z
  .object({
    status: z.enum(OUTBOUND_STATES).openapi({
      description:
        '`creating`: nobody moves it until the operator took it; `refused`, `withdrawn`: its push was undone',
    }),
    reference: z.string().nullable().openapi({ description: 'The operator’s number' }),
    detail: z.string().nullable().openapi({ description: 'The operator’s words, or why it was withdrawn' }),
  })
  .openapi({ description: 'The outbound order in a warehouse that somebody else runs' });

export const supplyOrder = z
  .object({
    id: z.string(),
    status: z.enum(SUPPLY_ORDER_STATUSES),
    partnership: z.string(),
    distributor: z.string(),
    package: z.string(),
    warehouse: z.string(),
    sourceStore: z.string(),
    platform: z.string(),
    paymentMethod: z.literal('prepaid'),
    shipping: z.enum(SHIPPING_KINDS),
    lines: z.array(z.object({ line: z.string(), sku: z.string(), quantity: z.int(), price: moneyAnswer })),
    charge: chargeAnswer,
    recipient: recipient
      .nullable()
      .openapi({ description: 'Readable exactly when the supplier arranges the carrier; masked otherwise' }),
    recall: recallAnswer.nullable(),
    shipment: shipmentAnswer.nullable(),
    returned: returnedAnswer.nullable(),
    stockedIn: unitsAnswer.openapi({ description: 'What of a cancelled one was stocked in again' }),
    tags: z.array(z.string()),
    carrier: carrierAnswer.nullable(),
    automatic: automaticAnswer.nullable(),
    outbound: outboundAnswer.nullable(),
    pushedAt: time,
    updatedAt: time,
  })
  .openapi('SupplyOrder');

/** As its supplier sees it. */
export const supplyOrderOf = ({ store }: Hub, row: SupplyOrderDoc) => ({
  id: row._id,
  status: row.status,
  partnership: row.partnership,
  distributor: row.distributor,
  package: row.package,
  warehouse: row.warehouse,
  sourceStore: row.sourceStore,
  platform: row.platform,
  paymentMethod: row.paymentMethod,
  shipping: row.shipping,
  lines: row.lines.map(({ line, sku, quantity, price }) => ({
    line,
    sku,
    quantity,
    price: moneyOf(price, row.currency),
  })),
  charge: chargeOf(row.charge),
  recipient: store.orders.recipientOfSupplyOrder(row),
  recall: row.recall ? recallOf(row.recall) : null,
  shipment: row.shipment ? shipmentOf(row.shipment, row.package) : null,
  returned: returnedOf(row.returned, row.currency),
  stockedIn: unitsOf(row.stockedIn?.lines ?? []),
  tags: row.tags ?? [],
  carrier: row.carrier ? { name: row.carrier.carrier, rule: row.carrier.rule, of: row.carrier.of } : null,
  automatic: row.auto
    ? {
        pack: row.auto.pack?.rule ?? null,
        countsAs: row.auto.pack?.countsAs ?? null,
        follow: row.auto.follow,
        open: row.auto.open,
      }
    : null,
  outbound: row.outbound
    ? { status: row.outbound.state, reference: row.outbound.reference, detail: row.outbound.detail }
    : null,
  pushedAt: row.pushedAt,
  updatedAt: row.updatedAt,
});

type SupplyRequest = Pick<RouteRequest<'id'>, 'account' | 'params' | 'command' | 'waitMs'>;

/** One step on; what has to happen after the commit is also found by the sweep. */
async function move(hub: Hub, request: SupplyRequest, what: SupplyOrderMove, shipment?: MoveInput['shipment']) {
  const { account, params, command, waitMs } = request;
  const {
    supplyOrder: row,
    recallToEnd,
    toTell,
  } = await hub.store.orders.moveSupplyOrder(account, params.id, what, {
    command,
    ...(shipment === undefined ? {} : { shipment }),
  });
  if (recallToEnd !== null) hub.processes.settleRecall(recallToEnd);
  if (!toTell) return ok(supplyOrderOf(hub, row));
  await startStored(hub, () => hub.processes.startSupplyOrder({ account: row.distributor, package: row.package }));
  if (waitMs === 0) return ok(supplyOrderOf(hub, row));
  await endsInTime(hub, supplyOrderProcessId(row.package), waitMs);
  return ok(supplyOrderOf(hub, await hub.store.orders.supplyOrder(account, params.id)));
}

const step = (what: Exclude<SupplyOrderMove, 'ship'>, summary: string) =>
  route({
    method: 'post',
    path: `/v1/supply-orders/{id}/${what}`,
    access: 'orders',
    tag: 'supply orders',
    summary,
    moves: true,
    answers: { 200: supplyOrder },
    handle: (request, hub) => move(hub, request, what),
  });

/** The supplier's answer goes to the recall's workflow, which is started where it is missing. */
async function answerRecall(
  hub: Hub,
  { account, params, command }: SupplyRequest,
  answer: 'confirm' | 'refuse',
  reason: string | null,
): Promise<Answer> {
  const { recall, package: pkg, distributor } = await hub.store.orders.supplyOrder(account, params.id);
  if (!recall) throw new HubError('invalid_transition', 'Nobody asks for this supply order back');
  // Its own repeat must not answer the next recall.
  if (await hub.store.orders.wasRecallAnswered(pkg, command))
    return ok(supplyOrderOf(hub, await hub.store.orders.supplyOrder(account, params.id)));
  // Over before this command: its own repeat is answered by the documents, as is one that comes too late.
  if (!recall.open) {
    const reply = await hub.store.orders.answerRecall(pkg, recall.attempt, answer, { command, reason });
    if (!reply.ok) throw new HubError(reply.code, reply.detail);
  } else {
    await hub.processes.answerRecall({
      account: distributor,
      package: pkg,
      attempt: recall.attempt,
      answer,
      command,
      reason,
    });
  }
  return ok(supplyOrderOf(hub, await hub.store.orders.supplyOrder(account, params.id)));
}

export const supplyOrderRoutes = [
  route({
    method: 'get',
    path: '/v1/supply-orders',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Supply orders, newest first',
    query: z.strictObject({ status: z.enum(SUPPLY_ORDER_STATUSES).optional(), tag: tag.optional() }),
    paged: true,
    answers: { 200: listOf(supplyOrder) },
    handle: async ({ account, query, page }, hub) =>
      listed(
        await hub.store.orders.supplyOrders(account, withoutUndefined({ status: query.status, tags: query.tag }), page),
        (row) => supplyOrderOf(hub, row),
      ),
  }),
  route({
    method: 'get',
    path: '/v1/supply-orders/{id}',
    access: 'orders',
    tag: 'supply orders',
    summary: 'One supply order',
    answers: { 200: supplyOrder },
    handle: async ({ account, params }, hub) =>
      ok(supplyOrderOf(hub, await hub.store.orders.supplyOrder(account, params.id))),
  }),
  step('pack', 'The goods are packed'),
  step('ready', 'The parcel waits for its pickup'),
  route({
    method: 'post',
    path: '/v1/supply-orders/{id}/ship',
    access: 'orders',
    tag: 'supply orders',
    summary: 'The parcel is gone: allocated goods leave the stock, once, and the platform is told the tracking number',
    moves: true,
    body: z.strictObject({ carrier: lineOf(100).optional(), trackingNumber: lineOf(100) }),
    answers: { 200: supplyOrder },
    handle: (request, hub) =>
      move(hub, request, 'ship', {
        carrier: request.body.carrier ?? null,
        trackingNumber: request.body.trackingNumber,
      }),
  }),
  step('complete', 'The order is done'),
  route({
    method: 'post',
    path: '/v1/supply-orders/{id}/recall/confirm',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Give the goods back: the charge is refunded in full',
    moves: true,
    answers: { 200: supplyOrder },
    handle: (request, hub) => answerRecall(hub, request, 'confirm', null),
  }),
  route({
    method: 'post',
    path: '/v1/supply-orders/{id}/recall/refuse',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Keep to the order; it can be asked for again',
    moves: true,
    body: z.strictObject({ reason: textOf(500).optional() }),
    answers: { 200: supplyOrder },
    handle: (request, hub) => answerRecall(hub, request, 'refuse', request.body.reason ?? null),
  }),
];
