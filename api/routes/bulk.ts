/** One command for many: pushes of orders, decisions about parked operations. Each is an operation with a result for each. */
import { isPermitted } from '../../domain/accounts';
import { HubError, isHubError } from '../../domain/failures';
import { bulkOperationId } from '../../domain/process-ids';
import type { BulkKind } from '../../store/repositories/bulks';
import type { Hub } from '../hub';
import { operationAnswer, operationStarted, startStored } from '../operations';
import { type Answer, type RouteRequest, route } from '../route';
import { id, listOfDistinct } from '../schemas/values';
import { z } from '../schemas/zod';

const BULK_MOST = 200;

const many = (what: string) => listOfDistinct(id, { most: BULK_MOST, what });

type BulkRequest = Pick<RouteRequest, 'account' | 'caller' | 'command' | 'waitMs'>;

async function startBulk(hub: Hub, request: BulkRequest, kind: BulkKind, items: readonly string[]): Promise<Answer> {
  await hub.processes.ping();
  const { account, caller, command } = request;
  const { _id: bulk } = await hub.store.bulks.begin(account, command, { kind, by: caller.key, items });
  await startStored(hub, () => hub.processes.startBulk({ account, bulk }));
  return operationStarted(hub, request, [bulkOperationId(bulk)]);
}

/** Whose own push it is needs no more than `orders` to try it again. */
async function requireOperate(hub: Hub, { account, caller }: BulkRequest, operations: readonly string[]) {
  if (isPermitted(caller.permissions, 'operate')) return;
  for (const one of operations) {
    const kind = await hub.store.operations.get(account, one).then(
      (row) => row.kind,
      (error: unknown) => {
        // Its result says that it is not there.
        if (isHubError(error) && error.code === 'not_found') return 'order_push';
        throw error;
      },
    );
    if (kind !== 'order_push')
      throw new HubError('permission_missing', `The key needs the permission operate for ${one}`, {
        members: { permission: 'operate' },
      });
  }
}

const operations = z.strictObject({ operations: many('an operation') });

export const bulkRoutes = [
  route({
    method: 'post',
    path: '/v1/orders/push',
    access: 'orders',
    tag: 'orders',
    summary: 'Push many orders: an operation with progress, and in the end a result for each',
    moves: true,
    audit: { action: 'orders.push-many', objects: ({ body }) => body.orders, snapshot: null },
    body: z.strictObject({ orders: many('an order') }),
    answers: { 200: operationAnswer, 202: operationAnswer },
    handle: (request, hub) => startBulk(hub, request, 'push', request.body.orders),
  }),
  route({
    method: 'post',
    path: '/v1/operations/retry',
    access: ['operate', 'orders'],
    tag: 'operations',
    summary: 'Try many parked operations again; the owner of pushes needs no more than `orders`',
    moves: true,
    audit: { action: 'operations.retry-many', objects: ({ body }) => body.operations, snapshot: null },
    body: operations,
    answers: { 200: operationAnswer, 202: operationAnswer },
    async handle(request, hub) {
      await requireOperate(hub, request, request.body.operations);
      return startBulk(hub, request, 'retry', request.body.operations);
    },
  }),
  route({
    method: 'post',
    path: '/v1/operations/abandon',
    access: 'operate',
    tag: 'operations',
    summary: 'Give many parked operations up: what they hold is undone',
    moves: true,
    audit: { action: 'operations.abandon-many', objects: ({ body }) => body.operations, snapshot: null },
    body: operations,
    answers: { 200: operationAnswer, 202: operationAnswer },
    handle: (request, hub) => startBulk(hub, request, 'abandon', request.body.operations),
  }),
];
