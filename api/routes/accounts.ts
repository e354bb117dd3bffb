/** Accounts (for the operator), the caller's own account, its API keys and notifications. */
import { isPermitted, PERMISSIONS, type Permission, PLANS } from '../../domain/accounts';
import { HubError } from '../../domain/failures';
import { notificationIdOf } from '../../domain/notifications';
import type { AccountDoc, ApiKeyDoc, NotificationDoc } from '../../store/models/documents';
import type { Caller } from '../../store/repositories/accounts';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { lineOf, listOfDistinct, QUANTITY_MOST, time } from '../schemas/values';
import { z } from '../schemas/zod';

const orderQuota = z
  .int()
  .min(0)
  .max(QUANTITY_MOST)
  .nullable()
  .openapi({ description: 'Orders per calendar month (UTC); null is without limit' });

const account = z
  .object({
    id: z.string(),
    name: z.string(),
    plan: z.enum(PLANS),
    inventoryEnabled: z.boolean(),
    orderQuota,
    createdAt: time,
  })
  .openapi('Account');

const accountOf = (row: AccountDoc) => ({
  id: row._id,
  name: row.name,
  plan: row.plan,
  inventoryEnabled: row.inventoryEnabled,
  orderQuota: row.orderQuota,
  createdAt: row.createdAt,
});

const apiKey = z
  .object({
    id: z.string(),
    name: z.string(),
    permissions: z.array(z.enum(PERMISSIONS)),
    createdAt: time,
    revokedAt: time.nullable(),
  })
  .openapi('ApiKey');

const apiKeyOf = (row: ApiKeyDoc) => ({
  id: row._id,
  name: row.name,
  permissions: row.permissions,
  createdAt: row.createdAt,
  revokedAt: row.revokedAt,
});

const notification = z
  .object({
    id: z.string(),
    event: z.string(),
    title: z.string(),
    document: z.string(),
    detail: z.string().nullable(),
    readAt: time.nullable(),
    at: time,
  })
  .openapi('Notification');

const notificationOf = (row: NotificationDoc) => ({
  id: notificationIdOf(row._id),
  event: row.event,
  title: row.title,
  document: row.document,
  detail: row.detail,
  readAt: row.readAt,
  at: row.at,
});

/** Nobody hands on, or takes away, more than they hold. */
function requireAll(caller: Caller, permissions: readonly Permission[]): void {
  const lacking = permissions.find((permission) => !isPermitted(caller.permissions, permission));
  if (lacking !== undefined)
    throw new HubError('permission_missing', `The key does not hold ${lacking} itself`, {
      members: { permission: lacking },
    });
}

const uniquePermissions = listOfDistinct(z.enum(PERMISSIONS), { most: PERMISSIONS.length, what: 'a permission' });

export const accountRoutes = [
  route({
    method: 'post',
    path: '/v1/accounts',
    access: 'platform',
    tag: 'platform',
    summary: 'Make an account and its first API key, which is shown only here',
    body: z.strictObject({ name: lineOf(200), plan: z.enum(PLANS), orderQuota: orderQuota.optional() }),
    answers: { 201: z.object({ account, apiKey: z.object({ key: z.string() }) }) },
    async handle({ body, command }, { store }) {
      const made = await store.accounts.create({ ...body, orderQuota: body.orderQuota ?? null, command });
      return created({ account: accountOf(made.account), apiKey: { key: made.key } }, '/v1/account');
    },
  }),
  route({
    method: 'patch',
    path: '/v1/accounts/{id}',
    access: 'platform',
    tag: 'platform',
    summary: 'Change plan or order quota',
    body: z
      .strictObject({ plan: z.enum(PLANS).optional(), orderQuota: orderQuota.optional() })
      .refine((change) => Object.keys(change).length > 0, 'must change something'),
    audit: { snapshot: async ({ params }, { store }) => accountOf(await store.accounts.get(params.id)) },
    answers: { 200: account },
    handle: async ({ params, body }, { store }) => ok(accountOf(await store.accounts.change(params.id, body))),
  }),
  route({
    method: 'get',
    path: '/v1/account',
    access: 'any',
    tag: 'account',
    summary: 'The account of the key',
    answers: { 200: account.extend({ ordersThisMonth: z.int() }) },
    async handle(request, { store }) {
      const [row, quota] = await Promise.all([
        store.accounts.get(request.account),
        store.accounts.quota(request.account),
      ]);
      return ok({ ...accountOf(row), ordersThisMonth: quota.used });
    },
  }),
  route({
    method: 'patch',
    path: '/v1/account',
    access: 'settings',
    tag: 'account',
    summary: 'Change name or the Inventory switch',
    body: z
      .strictObject({ name: lineOf(200).optional(), inventoryEnabled: z.boolean().optional() })
      .refine((change) => Object.keys(change).length > 0, 'must change something'),
    answers: { 200: account },
    handle: async ({ account: owner, body }, { store }) => ok(accountOf(await store.accounts.change(owner, body))),
  }),
  route({
    method: 'get',
    path: '/v1/api-keys',
    access: 'settings',
    tag: 'account',
    summary: 'API keys, also revoked ones; without their secrets',
    answers: { 200: listOf(apiKey) },
    async handle(request, { store }) {
      return listed({ items: await store.accounts.keys(request.account), nextCursor: null }, apiKeyOf);
    },
  }),
  route({
    method: 'post',
    path: '/v1/api-keys',
    access: 'settings',
    tag: 'account',
    summary: 'Make an API key; it is shown only here',
    body: z.strictObject({ name: lineOf(200), permissions: uniquePermissions }),
    answers: { 201: apiKey.extend({ key: z.string() }) },
    async handle({ caller, body, command }, { store }) {
      requireAll(caller, body.permissions);
      const { row, key } = await store.accounts.addKey(caller.account, body, command);
      return created({ ...apiKeyOf(row), key });
    },
  }),
  route({
    method: 'delete',
    path: '/v1/api-keys/{id}',
    access: 'settings',
    tag: 'account',
    summary: 'Revoke an API key',
    answers: { 204: null },
    async handle({ caller, params }, { store }) {
      const keys = await store.accounts.keys(caller.account);
      requireAll(caller, keys.find(({ _id }) => _id === params.id)?.permissions ?? []);
      await store.accounts.revokeKey(caller.account, params.id);
      return noContent;
    },
  }),
  route({
    method: 'get',
    path: '/v1/notifications',
    access: 'any',
    tag: 'account',
    summary: 'Notifications, newest first',
    paged: true,
    answers: { 200: listOf(notification) },
    handle: async (request, { store }) =>
      listed(await store.notifications.list(request.account, request.page), notificationOf),
  }),
  route({
    method: 'post',
    path: '/v1/notifications/{id}/read',
    access: 'any',
    tag: 'account',
    summary: 'Mark a notification as read',
    audit: { snapshot: null },
    answers: { 200: notification },
    async handle(request, { store }) {
      const id = Buffer.from(request.params.id, 'base64url').toString('utf8');
      return ok(notificationOf(await store.notifications.markRead(request.account, id)));
    },
  }),
];
