/** Customers, invitations, applications and partnerships, from both sides. Contract: partnership.md. */
import { HubError } from '../../domain/failures';
import { PARTNERSHIP_STATUSES } from '../../domain/partnership';
import type { CustomerDoc, InvitationDoc, PartnershipDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { startStored } from '../operations';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { currency, id, lineOf, textOf, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';

const customer = z
  .object({ id: z.string(), name: z.string(), linked: z.boolean(), createdAt: time })
  .openapi('Customer');
const customerOf = (row: CustomerDoc) => ({
  id: row._id,
  name: row.name,
  linked: row.linked,
  createdAt: row.createdAt,
});

const invitation = z
  .object({
    id: z.string(),
    status: z.enum(['open', 'expired', 'revoked']),
    expiresAt: time,
    revokedAt: time.nullable(),
    createdAt: time,
  })
  .openapi('Invitation');
const invitationOf = (row: InvitationDoc, now: Date) => ({
  id: row._id,
  status: row.revokedAt !== null ? 'revoked' : row.expiresAt <= now ? 'expired' : 'open',
  expiresAt: row.expiresAt,
  revokedAt: row.revokedAt,
  createdAt: row.createdAt,
});

const partnership = z
  .object({
    id: z.string(),
    status: z.enum(PARTNERSHIP_STATUSES),
    supplier: z.object({ id: z.string(), name: z.string() }),
    distributor: z.object({ id: z.string(), name: z.string() }),
    company: z.string(),
    contactName: z.string(),
    phone: z.string().nullable(),
    email: z.string().nullable(),
    channels: z.array(z.string()),
    message: z.string().nullable(),
    customer: z.string().nullable().openapi({ description: 'Seen by the supplier alone' }),
    settlementCurrency: currency.nullable(),
    level: z.string().nullable(),
    warehouses: z.array(z.string()),
    reason: z.string().nullable(),
    appliedAt: time,
    decidedAt: time.nullable(),
    endedAt: time.nullable(),
  })
  .openapi('Partnership');

async function partnershipOf({ store }: Hub, viewer: string, row: PartnershipDoc) {
  const contact = store.partnerships.contactOf(row);
  const [supplier, distributor] = await Promise.all([
    store.accounts.get(row.supplier),
    store.accounts.get(row.distributor),
  ]);
  const isSupplier = viewer === row.supplier;
  return {
    id: row._id,
    status: row.status,
    supplier: { id: supplier._id, name: supplier.name },
    distributor: { id: distributor._id, name: distributor.name },
    company: row.application.company,
    contactName: contact.contactName,
    phone: contact.phone,
    email: contact.email,
    channels: row.application.channels,
    message: contact.message,
    customer: isSupplier ? row.customer : null,
    settlementCurrency: row.settlementCurrency,
    level: isSupplier ? row.level : null,
    warehouses: isSupplier ? row.warehouses : [],
    reason: row.reason,
    appliedAt: row.appliedAt,
    decidedAt: row.decidedAt,
    endedAt: row.endedAt,
  };
}

/** The partnership, if the account is this side of it; 404 otherwise, also for the other side. */
export async function partnershipAs(
  { store }: Hub,
  side: 'supplier' | 'distributor',
  account: string,
  id: string,
): Promise<PartnershipDoc> {
  const row = await store.partnerships.get(account, id);
  if (row[side] !== account) throw new HubError('not_found', 'There is no such partnership');
  return row;
}

const statusFilter = z.strictObject({ status: z.enum(PARTNERSHIP_STATUSES).optional() });

const applicationInput = z
  .strictObject({
    invitation: z.string().min(1).max(200),
    company: lineOf(200),
    contactName: lineOf(200),
    phone: lineOf(50).optional(),
    email: z.email().max(254).optional(),
    channels: z.array(lineOf(100)).min(1).max(20),
    message: textOf(2000).optional(),
  })
  .superRefine(({ phone, email }, context) => {
    if (phone === undefined && email === undefined)
      context.addIssue({
        code: 'custom',
        path: ['email'],
        message: 'give a phone number or an e-mail address',
        params: { code: 'required' },
      });
  });

const approval = z.strictObject({
  customer: z
    .union([z.strictObject({ id }), z.strictObject({ name: lineOf(200) }), id])
    .openapi({ description: 'An id, or {name} to make one' }),
  settlementCurrency: currency,
  level: id.nullable().optional().openapi({ description: 'A level’s id; without one the base price counts' }),
  warehouses: z
    .array(id)
    .min(1)
    .max(200)
    .refine((ids) => new Set(ids).size === ids.length, 'must not name a warehouse twice'),
  creditLimit: zeroOrMore.optional(),
  creditPeriodDays: z.int().min(1).max(3650).nullable().optional(),
});

const customerRoutes = [
  route({
    method: 'get',
    path: '/v1/customers',
    access: 'distribution',
    tag: 'partnership',
    summary: 'The supplier’s own list of customers',
    paged: true,
    answers: { 200: listOf(customer) },
    handle: async ({ account, page }, { store }) =>
      listed(await store.partnerships.customers(account, page), customerOf),
  }),
  route({
    method: 'post',
    path: '/v1/customers',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Make a customer',
    body: z.strictObject({ name: lineOf(200) }),
    answers: { 201: customer },
    handle: async ({ account, body, command }, { store }) =>
      created(customerOf(await store.partnerships.addCustomer(account, body.name, command))),
  }),
];

const invitationRoutes = [
  route({
    method: 'post',
    path: '/v1/supplier/invitations',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Make an invitation; its token is shown only here',
    answers: { 201: invitation.extend({ token: z.string() }) },
    async handle({ account, command }, { store, now }) {
      const { invitation: row, token } = await store.partnerships.invite(account, command);
      return created({ ...invitationOf(row, now()), token });
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/invitations',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Invitations, newest first',
    paged: true,
    answers: { 200: listOf(invitation) },
    handle: async ({ account, page }, { store, now }) =>
      listed(await store.partnerships.invitations(account, page), (row) => invitationOf(row, now())),
  }),
  route({
    method: 'delete',
    path: '/v1/supplier/invitations/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Revoke an invitation',
    answers: { 204: null },
    async handle({ account, params }, { store }) {
      await store.partnerships.revokeInvitation(account, params.id);
      return noContent;
    },
  }),
];

const supplierRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/distributors',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Applications and partnerships as the supplier sees them, newest first',
    query: statusFilter,
    paged: true,
    answers: { 200: listOf(partnership) },
    async handle({ account, query, page }, hub) {
      const { items, nextCursor } = await hub.store.partnerships.list('supplier', account, query, page);
      const rendered = await Promise.all(items.map((row) => partnershipOf(hub, account, row)));
      return listed({ items: rendered, nextCursor }, (row) => row);
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/distributors/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'One application or partnership',
    answers: { 200: partnership },
    async handle({ account, params }, hub) {
      return ok(await partnershipOf(hub, account, await partnershipAs(hub, 'supplier', account, params.id)));
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/distributors/{id}/approve',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Approve an application',
    body: approval,
    answers: { 200: partnership },
    async handle({ account, params, body, command }, hub) {
      await partnershipAs(hub, 'supplier', account, params.id);
      await hub.processes.approvePartnership({
        supplier: account,
        partnership: params.id,
        approval: {
          customer: typeof body.customer === 'string' ? { id: body.customer } : body.customer,
          settlementCurrency: body.settlementCurrency,
          level: body.level ?? null,
          warehouses: body.warehouses,
          creditLimit: body.creditLimit ?? null,
          creditPeriodDays: body.creditPeriodDays ?? null,
        },
        command,
      });
      return ok(await partnershipOf(hub, account, await hub.store.partnerships.get(account, params.id)));
    },
  }),
];

const distributorRoutes = [
  route({
    method: 'post',
    path: '/v1/distributor/applications',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Apply to a supplier with an invitation',
    body: applicationInput,
    answers: { 201: partnership },
    async handle({ account, body, command }, hub) {
      await hub.processes.ping();
      const { invitation: token, phone, email, message, ...rest } = body;
      const application = { ...rest, phone: phone ?? null, email: email ?? null, message: message ?? null };
      const row = await hub.store.partnerships.apply(account, token, application, command);
      await startStored(hub, () => hub.processes.startPartnership(row._id));
      return created(await partnershipOf(hub, account, row));
    },
  }),
  route({
    method: 'get',
    path: '/v1/distributor/suppliers',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Applications and partnerships as the distributor sees them, newest first',
    query: statusFilter,
    paged: true,
    answers: { 200: listOf(partnership) },
    async handle({ account, query, page }, hub) {
      const { items, nextCursor } = await hub.store.partnerships.list('distributor', account, query, page);
      const rendered = await Promise.all(items.map((row) => partnershipOf(hub, account, row)));
      return listed({ items: rendered, nextCursor }, (row) => row);
    },
  }),
];

export const partnershipRoutes = [...customerRoutes, ...invitationRoutes, ...supplierRoutes, ...distributorRoutes];
