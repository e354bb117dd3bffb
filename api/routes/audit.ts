/** The audit log: an account's own, and for the platform's administrator everybody's and its check. */
import { ACTOR_KINDS, AUDIT_OUTCOMES } from '../../domain/audit';
import { DAMAGES, type Verdict } from '../../store/audit-chain';
import type { AuditRowDoc } from '../../store/models/documents';
import type { AuditFilter } from '../../store/repositories/audit';
import { withoutUndefined } from '../input';
import { listed, listOf, ok, route } from '../route';
import { id, instant, lineOf, time } from '../schemas/values';
import { z } from '../schemas/zod';

const state = z
  .unknown()
  .openapi({ description: 'The object, without secrets and personal data; null where it is not known or not there' });

const row = z
  .object({
    seq: z.int().openapi({ description: 'Its place in the chain of all rows of the hub' }),
    id: z.string(),
    at: time,
    actor: z.object({ kind: z.enum(ACTOR_KINDS), id: z.string().nullable(), name: z.string().nullable() }),
    action: z.string().openapi({ example: 'supplier.distributors.approve' }),
    route: z.string(),
    objects: z.array(z.string()),
    requestId: z.string().nullable(),
    address: z.string().nullable(),
    outcome: z.enum(AUDIT_OUTCOMES),
    status: z.int().nullable(),
    code: z.string().nullable(),
    before: state,
    after: state,
    hash: z.string(),
  })
  .openapi('AuditRow');

const parsed = (text: string | null): unknown => (text === null ? null : JSON.parse(text));

const rowOf = (one: AuditRowDoc) => ({
  seq: one._id,
  id: one.id,
  at: one.at,
  actor: { kind: one.actor.kind, id: one.actor.id, name: one.actor.name },
  action: one.action,
  route: one.route,
  objects: one.objects,
  requestId: one.request,
  address: one.address,
  outcome: one.outcome,
  status: one.status,
  code: one.code,
  before: parsed(one.before),
  after: parsed(one.after),
  hash: one.hash,
});
/** Where the platform's administrator works from is not the account's to know. */
const ownRowOf = (one: AuditRowDoc) => ({
  ...rowOf(one),
  address: one.actor.kind === 'platform' ? null : one.address,
});

const filter = z.strictObject({
  object: id.optional().openapi({ description: 'An id, or a SKU' }),
  action: lineOf(100).optional(),
  actor: id.optional().openapi({ description: `An API key’s id, or ${ACTOR_KINDS.join(', ')}` }),
  from: instant.optional().openapi({ description: 'Not before' }),
  to: instant.optional().openapi({ description: 'Before' }),
});
const filterOf = (query: z.output<typeof filter> & { account?: string | undefined }): AuditFilter => {
  const { object, action, actor, from, to, account } = query;
  return withoutUndefined({ object, action, actor, from, to, account });
};

const chainHead = z.object({ count: z.int(), hash: z.string() });
const verdict = z
  .object({
    ok: z.boolean(),
    rows: z.int(),
    head: chainHead,
    damages: z.array(
      z.object({
        kind: z.enum(DAMAGES),
        row: z.union([z.int(), z.string()]),
        to: z.int().optional(),
        detail: z.string(),
      }),
    ),
    more: z.int(),
  })
  .openapi('AuditVerdict');
const verdictOf = ({ ok: isOk, rows, head, damages, more }: Verdict) => ({
  ok: isOk,
  rows,
  head: { count: head.count, hash: head.hash },
  damages,
  more,
});

export const auditRoutes = [
  route({
    method: 'get',
    path: '/v1/audit-log',
    access: 'settings',
    tag: 'account',
    summary: 'Who did what to which object, newest first',
    query: filter,
    paged: true,
    answers: { 200: listOf(row) },
    handle: async ({ account, query, page }, { store }) =>
      listed(await store.audit.list({ ...filterOf(query), account }, page), ownRowOf),
  }),
  route({
    method: 'get',
    path: '/v1/accounts/audit-log',
    access: 'platform',
    tag: 'platform',
    summary: 'The audit log of the whole hub, newest first',
    query: filter.extend({ account: id.optional() }),
    paged: true,
    answers: { 200: listOf(row.extend({ account: z.string().nullable() })) },
    handle: async ({ query, page }, { store }) =>
      listed(await store.audit.list(filterOf(query), page), (one) => ({ ...rowOf(one), account: one.account })),
  }),
  route({
    method: 'post',
    path: '/v1/audit-log/verify',
    access: 'platform',
    tag: 'platform',
    summary: 'Recompute the audit log and name every row that was altered, inserted, removed or cut off',
    body: z.strictObject({
      heads: z
        .array(z.strictObject({ count: z.int().min(0), hash: z.string().regex(/^[\da-f]{64}$/) }))
        .max(1000)
        .default([])
        .openapi({ description: 'Heads that were logged, to compare with' }),
    }),
    audit: { action: 'audit-log.verify' },
    answers: { 200: verdict },
    handle: async ({ body }, { store }) => ok(verdictOf(await store.audit.verify(body.heads))),
  }),
];
