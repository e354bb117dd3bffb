/** Customers, invitations, applications and partnerships, from both sides. Contract: partnership.md. */
import { HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { PARTNERSHIP_STATUSES, type PartnershipSide } from '../../domain/partnership';
import type { CustomerDoc, InvitationDoc, PartnershipDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { startStored } from '../operations';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { currency, id, lineOf, listOfDistinct, ofFields, textOf, time, zeroOrMore } from '../schemas/values';
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
    notes: z.string().nullable().openapi({ description: 'Seen by the supplier alone' }),
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
  // How the supplier keeps the contact is theirs; the distributor sees what they applied with.
  const note = isSupplier ? store.partnerships.noteOf(row) : {};
  return {
    id: row._id,
    status: row.status,
    supplier: { id: supplier._id, name: supplier.name },
    distributor: { id: distributor._id, name: distributor.name },
    company: note.company ?? row.application.company,
    contactName: note.contactName ?? contact.contactName,
    phone: note.phone === undefined ? contact.phone : note.phone,
    email: note.email === undefined ? contact.email : note.email,
    channels: row.application.channels,
    message: contact.message,
    notes: note.notes ?? null,
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
  side: PartnershipSide,
  account: string,
  id: string,
): Promise<PartnershipDoc> {
  const row = await store.partnerships.get(account, id);
  if (row[side] !== account) throw new HubError('not_found', 'There is no such partnership');
  return row;
}

/** Sends a decision to the partnership's process; 404 for the other side, whose decision it is not. */
async function moved(
  hub: Hub,
  side: PartnershipSide,
  partnership: string,
  command: Parameters<Hub['processes']['movePartnership']>[1],
) {
  await partnershipAs(hub, side, command.party, partnership);
  await hub.processes.movePartnership(partnership, command);
  return ok(await partnershipOf(hub, command.party, await hub.store.partnerships.get(command.party, partnership)));
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
  }, ofFields);

const reasonInput = z.strictObject({ reason: textOf(2000).optional() });

const warehouseIds = listOfDistinct(id, { most: 200, what: 'a warehouse' });

const approval = z.strictObject({
  customer: z
    .union([z.strictObject({ id }), z.strictObject({ name: lineOf(200) }), id])
    .openapi({ description: 'An id, or {name} to make one' }),
  settlementCurrency: currency,
  level: id.nullable().optional().openapi({ description: 'A level’s id; without one the base price counts' }),
  warehouses: warehouseIds,
  creditLimit: zeroOrMore.optional(),
  creditPeriodDays: z.int().min(1).max(3650).nullable().optional(),
});

/** What a partnership's approval settled for good. */
const IMMUTABLE = ['customer', 'settlementCurrency'] as const;

const changes = z
  .strictObject({
    company: lineOf(200).optional(),
    contactName: lineOf(200).optional(),
    phone: lineOf(50).nullable().optional(),
    email: z.email().max(254).nullable().optional(),
    notes: textOf(10_000).nullable().optional(),
    level: id.nullable().optional(),
    warehouses: warehouseIds.optional(),
    // Known, so that whoever sends one is told why it is refused.
    customer: z.unknown().optional(),
    settlementCurrency: z.unknown().optional(),
  })
  .refine((change) => Object.keys(change).length > 0, 'must change something');

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
  route({
    method: 'patch',
    path: '/v1/customers/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Rename a customer',
    body: z.strictObject({ name: lineOf(200) }),
    answers: { 200: customer },
    handle: async ({ account, params, body }, { store }) =>
      ok(customerOf(await store.partnerships.renameCustomer(account, params.id, body.name))),
  }),
  route({
    method: 'delete',
    path: '/v1/customers/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Delete a customer that was never linked to a partnership',
    answers: { 204: null },
    async handle({ account, params }, { store }) {
      await store.partnerships.deleteCustomer(account, params.id);
      return noContent;
    },
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

const listRoute = (side: PartnershipSide, path: string) =>
  route({
    method: 'get',
    path,
    access: 'distribution',
    tag: 'partnership',
    summary: `Applications and partnerships as the ${side} sees them, newest first`,
    query: statusFilter,
    paged: true,
    answers: { 200: listOf(partnership) },
    async handle({ account, query, page }, hub) {
      const { items, nextCursor } = await hub.store.partnerships.list(side, account, query, page);
      const rendered = await Promise.all(items.map((row) => partnershipOf(hub, account, row)));
      return listed({ items: rendered, nextCursor }, (row) => row);
    },
  });

const terminateRoute = (
  side: PartnershipSide,
  path: '/v1/supplier/distributors/{id}/terminate' | '/v1/distributor/suppliers/{id}/terminate',
) =>
  route({
    method: 'post',
    path,
    access: 'distribution',
    tag: 'partnership',
    summary: `End a partnership from the ${side}’s side: nothing new enters, all stock of it is pushed as 0`,
    body: reasonInput,
    answers: { 200: partnership },
    handle: ({ account, params, body, command }, hub) =>
      moved(hub, side, params.id, { move: 'terminate', party: account, command, reason: body.reason ?? null }),
  });

const supplierRoutes = [
  listRoute('supplier', '/v1/supplier/distributors'),
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
      const approval = {
        customer: typeof body.customer === 'string' ? { id: body.customer } : body.customer,
        settlementCurrency: body.settlementCurrency,
        level: body.level ?? null,
        warehouses: body.warehouses,
        creditLimit: body.creditLimit ?? null,
        creditPeriodDays: body.creditPeriodDays ?? null,
      };
      return moved(hub, 'supplier', params.id, { move: 'approve', party: account, command, approval });
    },
  }),
  route({
    method: 'post',
    path: '/v1/supplier/distributors/{id}/reject',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Reject an application; the distributor is told the reason',
    body: reasonInput,
    answers: { 200: partnership },
    handle: ({ account, params, body, command }, hub) =>
      moved(hub, 'supplier', params.id, {
        move: 'reject',
        party: account,
        command,
        reason: body.reason ?? null,
      }),
  }),
  route({
    method: 'patch',
    path: '/v1/supplier/distributors/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Change contact, notes, level or warehouses of a partnership',
    body: changes,
    answers: { 200: partnership },
    async handle({ account, params, body }, hub) {
      const { customer, settlementCurrency, level, warehouses, ...note } = body;
      const fixed = IMMUTABLE.filter((name) => body[name] !== undefined);
      await partnershipAs(hub, 'supplier', account, params.id);
      if (fixed.length > 0)
        throw new HubError('immutable', 'Customer and settlement currency stay as they were approved', {
          errors: fixed.map((name) => ({ pointer: `/${name}`, code: 'immutable', detail: 'This can not be changed' })),
        });
      const terms = {
        ...(level === undefined ? {} : { level }),
        ...(warehouses === undefined ? {} : { warehouses }),
        ...(Object.keys(note).length === 0 ? {} : { note: hub.store.partnerships.sealNote(params.id, note) }),
      };
      return moved(hub, 'supplier', params.id, {
        move: 'changeTerms',
        party: account,
        command: newId('command'),
        terms,
      });
    },
  }),
  terminateRoute('supplier', '/v1/supplier/distributors/{id}/terminate'),
  route({
    method: 'delete',
    path: '/v1/supplier/distributors/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Delete a rejected application',
    answers: { 204: null },
    async handle({ account, params }, hub) {
      await partnershipAs(hub, 'supplier', account, params.id);
      await hub.store.partnerships.move(params.id, { move: 'delete', party: account, command: newId('command') });
      return noContent;
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
  listRoute('distributor', '/v1/distributor/suppliers'),
  route({
    method: 'get',
    path: '/v1/distributor/suppliers/{id}',
    access: 'distribution',
    tag: 'partnership',
    summary: 'One application or partnership of the distributor’s',
    answers: { 200: partnership },
    async handle({ account, params }, hub) {
      return ok(await partnershipOf(hub, account, await partnershipAs(hub, 'distributor', account, params.id)));
    },
  }),
  route({
    method: 'post',
    path: '/v1/distributor/suppliers/{id}/withdraw',
    access: 'distribution',
    tag: 'partnership',
    summary: 'Withdraw an application that was not decided; it is deleted',
    answers: { 204: null },
    async handle({ account, params, command }, { store, processes }) {
      await store.partnerships.requireApplicant(account, params.id);
      await processes.movePartnership(params.id, { move: 'withdraw', party: account, command });
      return noContent;
    },
  }),
  terminateRoute('distributor', '/v1/distributor/suppliers/{id}/terminate'),
];

export const partnershipRoutes = [...customerRoutes, ...invitationRoutes, ...supplierRoutes, ...distributorRoutes];
