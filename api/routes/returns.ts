/** What comes back: after-sale returns, and goods of cancelled supply orders. Contract: orders.md. */
import type { ReturnDoc } from '../../store/models/documents';
import { created, listed, listOf, ok, route } from '../route';
import { id, lineOf, moneyAnswer, moneyOf, positiveQuantity, textOf, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';
import { supplyOrder, supplyOrderOf } from './supply-orders';

const lineUnits = z.strictObject({
  line: lineOf(300).openapi({ description: 'A line of the supply order' }),
  quantity: positiveQuantity,
});
const lines = z.array(lineUnits).min(1).max(1_000);

const returnAnswer = z
  .object({
    id: z.string(),
    supplyOrder: z.string(),
    package: z.string(),
    lines: z.array(z.object({ line: z.string(), sku: z.string(), quantity: z.int() })),
    refund: moneyAnswer,
    charge: moneyAnswer.openapi({ description: 'The stock-in return charge, as it was fixed at the push' }),
    warehouse: z
      .string()
      .nullable()
      .openapi({ description: 'Where the goods were taken in; null where they were not' }),
    note: z.string().nullable(),
    at: time,
  })
  .openapi('Return');

/** A return; where the goods lie is the supplier's to know. */
const returnOf = (row: ReturnDoc, viewer: string) => ({
  id: row._id,
  supplyOrder: row.supplyOrder,
  package: row.package,
  lines: row.lines.map(({ line, sku, quantity }) => ({ line, sku, quantity })),
  refund: moneyOf(row.refund, row.currency),
  charge: moneyOf(row.charge, row.currency),
  warehouse: viewer === row.supplier ? row.warehouse : null,
  note: row.note,
  at: row.at,
});

export const returnRoutes = [
  route({
    method: 'post',
    path: '/v1/supply-orders/{id}/returns',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Take back what the buyer sent back: refund, stock in and the stock-in return charge, all or nothing',
    moves: true,
    body: z.strictObject({
      lines,
      refund: zeroOrMore.openapi({ description: 'At most what was charged for these units' }),
      stockIn: z
        .boolean()
        .default(true)
        .openapi({ description: 'False: the goods are not taken in, and no stock-in return charge is made' }),
      warehouse: id.optional().openapi({ description: 'Where they are taken in; by default where they came from' }),
      note: textOf(500).optional(),
    }),
    answers: { 201: returnAnswer },
    async handle({ account, params, body, command }, hub) {
      const { row, lanes } = await hub.store.returns.takeIn(account, params.id, {
        command,
        lines: body.lines,
        refund: body.refund,
        stockIn: body.stockIn,
        warehouse: body.warehouse ?? null,
        note: body.note ?? null,
      });
      hub.processes.wakeLanes(lanes);
      return created(returnOf(row, account));
    },
  }),
  route({
    method: 'get',
    path: '/v1/supply-orders/{id}/returns',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Returns of a supply order, newest first',
    paged: true,
    answers: { 200: listOf(returnAnswer) },
    async handle({ account, params, page }, { store }) {
      await store.orders.supplyOrder(account, params.id);
      return listed(await store.returns.list({ supplier: account, supplyOrder: params.id }, page), (row) =>
        returnOf(row, account),
      );
    },
  }),
  route({
    method: 'get',
    path: '/v1/orders/{id}/returns',
    access: 'orders',
    tag: 'orders',
    summary: 'Returns of an order that its suppliers took in, newest first',
    paged: true,
    answers: { 200: listOf(returnAnswer) },
    async handle({ account, params, page }, { store }) {
      const { order } = await store.orders.get(account, params.id);
      return listed(await store.returns.list({ distributor: account, packages: order.packages }, page), (row) =>
        returnOf(row, account),
      );
    },
  }),
  route({
    method: 'post',
    path: '/v1/supply-orders/{id}/stock-in',
    access: 'orders',
    tag: 'supply orders',
    summary: 'Stock in goods of a cancelled supply order that had left the shelf, where they came from or elsewhere',
    moves: true,
    body: z.strictObject({
      lines: lines.optional().openapi({ description: 'By default all that is left' }),
      warehouse: id.optional(),
    }),
    answers: { 200: supplyOrder },
    async handle({ account, params, body, command }, hub) {
      const { supplyOrder: row, lanes } = await hub.store.returns.stockIn(account, params.id, {
        command,
        lines: body.lines ?? null,
        warehouse: body.warehouse ?? null,
      });
      hub.processes.wakeLanes(lanes);
      return ok(supplyOrderOf(hub, row));
    },
  }),
];
