/** Operations: what runs as a workflow, and what an operator decides about it. */
import { isPermitted } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { OPERATION_STATUSES } from '../../store/models/documents';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { operationAnswer, operationOf, operationSchema, operationStarted } from '../operations';
import { type Answer, listed, listOf, ok, type RouteRequest, route } from '../route';
import { lineOf } from '../schemas/values';
import { z } from '../schemas/zod';

const PUSH = 'order_push';

/** The workflow decides whether it waits for a decision: 409 `operation_not_parked`. */
async function decide(hub: Hub, request: RouteRequest<'id'>, decision: 'retry' | 'abandon'): Promise<Answer> {
  const { account, caller, params } = request;
  const { workflowId, kind } = await hub.store.operations.get(account, params.id);
  const isOwnPush = kind === PUSH && decision === 'retry';
  if (!isOwnPush && !isPermitted(caller.permissions, 'operate'))
    throw new HubError('permission_missing', 'The key needs the permission operate', {
      members: { permission: 'operate' },
    });
  await hub.processes.decide(workflowId, decision, caller.key);
  return operationStarted(hub, request, [workflowId]);
}

export const operationRoutes = [
  route({
    method: 'get',
    path: '/v1/operations',
    access: 'any',
    tag: 'operations',
    summary: 'Operations, newest first',
    query: z.strictObject({ status: z.enum(OPERATION_STATUSES).optional(), kind: lineOf(50).optional() }),
    paged: true,
    answers: { 200: listOf(operationSchema) },
    handle: async ({ account, query, page }, { store }) =>
      listed(
        await store.operations.list(account, withoutUndefined({ status: query.status, kind: query.kind }), page),
        operationOf,
      ),
  }),
  route({
    method: 'get',
    path: '/v1/operations/{id}',
    access: 'any',
    tag: 'operations',
    summary: 'One operation',
    answers: { 200: operationSchema },
    handle: async ({ account, params }, { store }) => ok(operationOf(await store.operations.get(account, params.id))),
  }),
  route({
    method: 'post',
    path: '/v1/operations/{id}/retry',
    access: ['operate', 'orders'],
    tag: 'operations',
    summary: 'Try a parked operation again; the owner of a push needs no more than `orders`',
    moves: true,
    answers: { 200: operationAnswer, 202: operationAnswer },
    handle: (request, hub) => decide(hub, request, 'retry'),
  }),
  route({
    method: 'post',
    path: '/v1/operations/{id}/abandon',
    access: 'operate',
    tag: 'operations',
    summary: 'Give a parked operation up: what it holds is undone',
    moves: true,
    answers: { 200: operationAnswer, 202: operationAnswer },
    handle: (request, hub) => decide(hub, request, 'abandon'),
  }),
];
