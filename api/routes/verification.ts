/** The proof of the books, and the entries that make a discrepancy good. Contract: billing.md: verify. */
import { MEDIA_TYPES, numberedCell, writeFile } from '../../connectors/files/table';
import { idFor } from '../../domain/ids';
import { RECORD_TYPES } from '../../domain/ledger';
import { CURRENCY_DECIMALS, type Currency, formatDecimal } from '../../domain/money';
import { billingVerificationId } from '../../domain/process-ids';
import { type Compensation, DISCREPANCIES, DISCREPANCY_KINDS, wordsOf } from '../../domain/verification';
import type { VerificationDoc } from '../../store/models/documents';
import { CHECKS, type ListedDiscrepancy } from '../../store/repositories/verification';
import type { Hub } from '../hub';
import { operationSchema, operationStarted, startStored } from '../operations';
import { fileAnswer, listed, listOf, ok, route, sendFile } from '../route';
import { currency, moneyAnswer, moneyOf, queryFlag, time } from '../schemas/values';
import { z } from '../schemas/zod';

/** Of a list that an answer shows; the rest is in its pages and in the file. */
const SHOWN = 20;

const discrepancy = z
  .object({
    kind: z.enum(DISCREPANCY_KINDS),
    title: z.string(),
    subject: z.string(),
    partnership: z.string().nullable(),
    documents: z.array(z.string()),
    expected: z.string().nullable().openapi({ description: 'Amounts as the distributor sees them', example: '-38.70' }),
    found: z.string().nullable(),
    currency: currency.nullable().openapi({ description: 'Of the account it is of, and of these amounts' }),
    compensation: z
      .object({
        transaction: z.string(),
        type: z.enum(RECORD_TYPES),
        amount: moneyAnswer.openapi({ description: 'In the settlement currency, as the distributor sees it' }),
        movesBalance: z
          .boolean()
          .openapi({ description: 'False: the balance holds it already, only the records lack it' }),
        package: z.string().nullable(),
        document: z.string().nullable(),
        corrects: z.string().nullable().openapi({ description: 'The record whose amount it corrects' }),
        balance: z
          .object({ from: moneyAnswer, to: moneyAnswer })
          .nullable()
          .openapi({ description: 'The balance itself is wrong, and set to what the records prove' }),
      })
      .nullable()
      .openapi({ description: 'The entry that would make it good; null where no booking can' }),
    booked: z.string().nullable().openapi({ description: 'The record that made it good' }),
  })
  .openapi('Discrepancy');

const verification = z
  .object({
    id: z.string(),
    status: z.enum(['running', 'done', 'failed', 'abandoned']),
    ok: z.boolean().nullable().openapi({ description: 'Everything holds; null while it is not known' }),
    repair: z.boolean(),
    dryRun: z.boolean(),
    checks: z.array(
      z.object({
        check: z.enum(CHECKS),
        seen: z.int(),
        found: z.int(),
        whole: z.boolean(),
        apart: z.record(z.string(), z.int()),
      }),
    ),
    kinds: z.array(z.object({ kind: z.enum(DISCREPANCY_KINDS), count: z.int() })),
    found: z.int(),
    booked: z.int(),
    discrepancies: z.array(discrepancy).openapi({ description: `The first ${SHOWN}` }),
    createdAt: time,
    endedAt: time.nullable(),
  })
  .openapi('Verification');

function entryOf({ id, type, amount, correction, package: pkg, document, balance }: Compensation, of: Currency) {
  return {
    ...{ transaction: id, type, amount: moneyOf(amount, of), package: pkg, document },
    ...{ movesBalance: correction.movesBalance, corrects: correction.record },
    balance: balance && { from: moneyOf(balance.from, of), to: moneyOf(balance.to, of) },
  };
}

function discrepancyOf(row: ListedDiscrepancy) {
  const { kind, subject, partnership, documents, compensation, booked, currency: of } = row;
  return {
    ...{ kind, title: DISCREPANCIES[kind], subject, partnership, documents, booked, currency: of },
    expected: wordsOf(kind, row.expected, of),
    found: wordsOf(kind, row.found, of),
    // Without an account nothing can be booked.
    compensation: compensation && of && entryOf(compensation, of),
  };
}

async function verificationOf({ store }: Hub, row: VerificationDoc) {
  const [kinds, first] = await Promise.all([
    store.verification.kinds(row._id),
    store.verification.discrepancies(row._id, { limit: SHOWN, after: null }),
  ]);
  const found = kinds.reduce((sum, { count }) => sum + count, 0);
  const isWhole = CHECKS.every((check) => row.checks[check]?.whole);
  return {
    ...{ id: row._id, status: row.status, repair: row.repair, dryRun: row.dryRun, kinds, found, booked: row.booked },
    ok: row.status === 'running' ? null : row.status === 'done' && isWhole && found === 0,
    checks: CHECKS.flatMap((check) => {
      const one = row.checks[check];
      return one ? [{ check, ...one }] : [];
    }),
    discrepancies: first.items.map(discrepancyOf),
    createdAt: row.createdAt,
    endedAt: row.endedAt,
  };
}

const HEADER = [
  ...['kind', 'subject', 'partnership', 'documents', 'expected', 'found', 'currency', 'entry', 'type', 'amount'],
  'booked',
];

async function* cellsOf(rows: AsyncIterable<ListedDiscrepancy>): AsyncGenerator<string[]> {
  for await (const row of rows) {
    const { kind, subject, partnership, documents, compensation, booked, currency: of } = row;
    const amount = compensation && of ? formatDecimal(compensation.amount, CURRENCY_DECIMALS[of]) : '';
    yield [
      ...[kind, subject, partnership ?? '', documents.join(' ')],
      ...[wordsOf(kind, row.expected, of) ?? '', wordsOf(kind, row.found, of) ?? '', of ?? ''],
      ...[compensation?.id ?? '', compensation?.type ?? '', amount, booked ?? ''],
    ].map(numberedCell);
  }
}

const answer = z.object({ operation: operationSchema, verification });

export const verificationRoutes = [
  route({
    method: 'post',
    path: '/v1/billing/verify',
    access: 'billing',
    tag: 'billing',
    summary:
      'Prove the account’s books; with `repair`, book what makes discrepancies good (then an Idempotency-Key is required)',
    movesWhen: ({ query, body }) =>
      (body as { repair?: unknown } | null)?.repair === true && (query as { dryRun?: unknown }).dryRun !== 'true',
    query: z.strictObject({
      dryRun: queryFlag.optional().openapi({ description: 'With `repair`: book nothing; say which entries would be' }),
    }),
    body: z.strictObject({ repair: z.boolean().default(false) }),
    audit: {
      action: 'billing.verify',
      objects: ({ command }: { command: string }) => [idFor('verification', command)],
      snapshot: null,
    },
    answers: { 200: answer, 202: answer },
    async handle(request, hub) {
      const { account, command, body, query } = request;
      await hub.processes.ping();
      const dryRun = query.dryRun ?? false;
      const row = await hub.store.verification.add(account, command, { repair: body.repair, dryRun });
      await startStored(hub, () =>
        hub.processes.startVerification({ verification: row._id, checks: CHECKS, repair: body.repair && !dryRun }),
      );
      const started = await operationStarted(hub, request, [billingVerificationId(row._id)]);
      const now = await verificationOf(hub, await hub.store.verification.get(account, row._id));
      return { ...started, body: { ...(started.body as object), verification: now } };
    },
  }),
  route({
    method: 'get',
    path: '/v1/billing/verifications/{id}',
    access: 'billing',
    tag: 'billing',
    summary: 'One verification: what was looked at and what does not hold; all of it as a file with ?discrepancies=csv',
    query: z.strictObject({ discrepancies: z.literal('csv').optional() }),
    answers: { 200: fileAnswer([MEDIA_TYPES.csv], verification) },
    async handle({ account, params, query }, hub) {
      const row = await hub.store.verification.get(account, params.id);
      if (query.discrepancies)
        return sendFile(writeFile('csv', HEADER, cellsOf(hub.store.verification.all(row._id)), 'discrepancies'), {
          name: `verification-${row._id}.csv`,
          mediaType: MEDIA_TYPES.csv,
        });
      return ok(await verificationOf(hub, row));
    },
  }),
  route({
    method: 'get',
    path: '/v1/billing/verifications/{id}/discrepancies',
    access: 'billing',
    tag: 'billing',
    summary: 'What does not hold, with its documents and the entry that would make it good',
    paged: true,
    answers: { 200: listOf(discrepancy) },
    async handle({ account, params, page }, { store }) {
      const row = await store.verification.get(account, params.id);
      return listed(await store.verification.discrepancies(row._id, page), discrepancyOf);
    },
  }),
];
