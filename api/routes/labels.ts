/** Printing. Contract: orders.md, Supply orders. */
import { Readable } from 'node:stream';
import { printLabels, takeLabel } from '../../activities/labels';
import { fileAnswer, noContent, ok, route, sendFile } from '../route';
import { id, listOfDistinct } from '../schemas/values';
import { z } from '../schemas/zod';
import { packageOf, packageSchema } from './orders';

const PDF = 'application/pdf';
const LABELS_MOST = 100;
const LABEL_BYTES = 5 * 1024 * 1024;

export const labelRoutes = [
  route({
    method: 'post',
    path: '/v1/supply-orders/labels',
    access: 'orders',
    tag: 'supply orders',
    summary:
      'Labels of many supply orders as one PDF; what can not be had is named on its first page, and counted in Labels-Missing',
    audit: { action: 'supply-orders.print-labels', objects: ({ body }) => body.supplyOrders, snapshot: null },
    body: z.strictObject({
      supplyOrders: listOfDistinct(id, { most: LABELS_MOST, what: 'a supply order' }),
    }),
    answers: { 200: fileAnswer([PDF]) },
    async handle({ account, body }, hub) {
      const { pdf, missing } = await printLabels(hub, account, body.supplyOrders);
      const answer = sendFile(Readable.from([pdf]), { name: 'labels.pdf', mediaType: PDF });
      return { ...answer, headers: { ...answer.headers, 'Labels-Missing': String(missing.length) } };
    },
  }),
  route({
    method: 'put',
    path: '/v1/orders/{id}/packages/{package}/label',
    access: 'orders',
    tag: 'orders',
    summary: 'Hand in the label of a 3PL or for Temu, which the supplier prints; in place of the one there was',
    file: { limitBytes: LABEL_BYTES, mediaTypes: [PDF] },
    answers: { 200: packageSchema },
    async handle({ account, params, file }, hub) {
      if (file === null) throw new Error('This route takes a file');
      const row = await takeLabel(hub, account, { order: params.id, package: params.package }, file.id);
      return ok(packageOf(row));
    },
  }),
  route({
    method: 'delete',
    path: '/v1/orders/{id}/packages/{package}/label',
    access: 'orders',
    tag: 'orders',
    summary: 'Take a label back that was handed in',
    answers: { 204: null },
    async handle({ account, params }, hub) {
      await hub.store.orders.labels.takeBack(account, params.id, params.package);
      return noContent;
    },
  }),
];
