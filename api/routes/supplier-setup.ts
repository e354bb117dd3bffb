/** A supplier's set-up, fees and exchange rates. Contract: partnership.md, Activating Distribution; catalogue.md, Fees. */
import { HubError } from '../../domain/failures';
import type { Money } from '../../domain/money';
import { SETUP_STEPS, type SetupCommand, type SetupStep } from '../../domain/partnership';
import type { FeeSettings } from '../../domain/pricing';
import type { SupplierDoc } from '../../store/models/documents';
import type { Hub } from '../hub';
import { inputProblems } from '../input';
import { startStored } from '../operations';
import { invalidInput } from '../problems';
import { ok, route } from '../route';
import { currency, lineOf, moneyAnswer, moneyOf, ofFields, ofItems, rate, time, zeroOrMore } from '../schemas/values';
import { z } from '../schemas/zod';

const by = z.enum(['package', 'quantity']).openapi({ description: 'Per package, or per unit of a SKU' });
const feesAnswer = z
  .object({
    stockOut: z.object({ by, amount: moneyAnswer }),
    logistics: z.object({ amount: moneyAnswer }),
    stockInReturn: z.object({ by, amount: moneyAnswer }),
  })
  .openapi('Fees');
const feesInput = z.strictObject({
  stockOut: z.strictObject({ by, amount: zeroOrMore }),
  logistics: z.strictObject({ amount: zeroOrMore }),
  stockInReturn: z.strictObject({ by, amount: zeroOrMore }),
});

const amountOf = (value: Money) => moneyOf(value.amount, value.currency);
const feesOf = (fees: FeeSettings) => ({
  stockOut: { by: fees.stockOut.by, amount: amountOf(fees.stockOut.amount) },
  logistics: { amount: amountOf(fees.logistics.amount) },
  stockInReturn: { by: fees.stockInReturn.by, amount: amountOf(fees.stockInReturn.amount) },
});

const setup = z
  .object({
    live: z.boolean(),
    done: z.array(z.enum(SETUP_STEPS)),
    missing: z.array(z.enum(SETUP_STEPS)),
    baseCurrency: currency.nullable(),
    bigshop: z.object({ name: z.string(), contact: z.string() }).nullable(),
    rounding: z.string(),
    fees: feesAnswer.nullable(),
    createdAt: time,
  })
  .openapi('SupplierSetup');

const setupOf = ({ store }: Hub, row: SupplierDoc) => ({
  live: row.live,
  done: row.steps,
  missing: SETUP_STEPS.filter((step) => !row.steps.includes(step)),
  baseCurrency: row.baseCurrency,
  bigshop: store.partnerships.bigshopOf(row),
  rounding: row.rounding,
  fees: row.fees === null ? null : feesOf(row.fees),
  createdAt: row.createdAt,
});

const nothing = z.strictObject({});
/** The body of each step. */
const STEP_BODIES = {
  'base-currency': z.strictObject({ currency }),
  products: nothing,
  'push-rule': nothing,
  bigshop: z.strictObject({ name: lineOf(200), contact: lineOf(200) }),
  pricing: nothing,
  fees: feesInput,
} as const satisfies Record<SetupStep, z.ZodType>;

function parsed<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const result = schema.safeParse(body);
  if (!result.success) throw invalidInput(inputProblems(result.error.issues, body, ''));
  return result.data;
}

const isStep = (text: string): text is SetupStep => (SETUP_STEPS as readonly string[]).includes(text);

/** The step with what the body settles of it. */
function commandOf(step: SetupStep, body: unknown): SetupCommand {
  switch (step) {
    case 'base-currency':
      return { step, ...parsed(STEP_BODIES[step], body) };
    case 'bigshop':
      return { step, ...parsed(STEP_BODIES[step], body) };
    case 'fees':
      return { step, fees: parsed(STEP_BODIES[step], body) };
    default:
      parsed(STEP_BODIES[step], body);
      return { step };
  }
}

/** Completes a step through the set-up's process; once live, which it stays, it is a setting like any other. */
async function complete({ store, processes }: Hub, account: string, command: SetupCommand): Promise<SupplierDoc> {
  const { live } = await store.partnerships.supplier(account);
  if (live) return store.partnerships.completeSetup(account, command);
  await processes.completeSetupStep(account, command);
  return store.partnerships.supplier(account);
}

const exchangeRates = z.object({
  rates: z.array(z.object({ from: currency, to: currency, rate: z.string() })),
});
const exchangeRatesInput = z.strictObject({
  rates: z
    .array(
      z
        .strictObject({ from: currency, to: currency, rate })
        .refine(({ from, to }) => from === undefined || from !== to, {
          ...{ path: ['to'], message: 'must be another currency' },
          ...ofFields,
        }),
    )
    .max(200)
    .superRefine((rates, context) => {
      const seen = new Set<string>();
      for (const [index, { from, to }] of rates.entries()) {
        if (from === undefined || to === undefined) continue;
        if (seen.has(`${from}${to}`))
          context.addIssue({
            code: 'custom',
            path: [index],
            message: `${from} to ${to} stands here twice`,
            params: { code: 'repeated' },
          });
        seen.add(`${from}${to}`);
      }
    }, ofItems),
});

export const supplierSetupRoutes = [
  route({
    method: 'post',
    path: '/v1/supplier/activation',
    access: 'distribution',
    tag: 'set-up',
    summary: 'Begin the Distribution set-up; needs plan v2 and the Inventory switch',
    answers: { 200: setup },
    async handle({ account }, hub) {
      await hub.processes.ping();
      const row = await hub.store.partnerships.activate(account);
      if (!row.live) await startStored(hub, () => hub.processes.startSetup(account));
      return ok(setupOf(hub, row));
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/setup',
    access: 'distribution',
    tag: 'set-up',
    summary: 'Which steps are done',
    answers: { 200: setup },
    handle: async ({ account }, hub) => ok(setupOf(hub, await hub.store.partnerships.supplier(account))),
  }),
  route({
    method: 'put',
    path: '/v1/supplier/setup/{step}',
    access: 'distribution',
    tag: 'set-up',
    summary: 'Complete a step: base-currency, products, push-rule, bigshop, pricing or fees',
    body: z.unknown().openapi({
      type: 'object',
      description:
        'base-currency: {currency}; bigshop: {name, contact}; fees: {stockOut, logistics, stockInReturn}; others: {}',
    }),
    answers: { 200: setup },
    async handle({ account, params, body }, hub) {
      if (!isStep(params.step))
        throw new HubError('not_found', `There is no such step; the steps are ${SETUP_STEPS.join(', ')}`);
      return ok(setupOf(hub, await complete(hub, account, commandOf(params.step, body))));
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/fees',
    access: 'distribution',
    tag: 'set-up',
    summary: 'The fees, in the base currency',
    answers: { 200: z.object({ fees: feesAnswer.nullable() }) },
    async handle({ account }, { store }) {
      const { fees } = await store.partnerships.supplier(account);
      return ok({ fees: fees === null ? null : feesOf(fees) });
    },
  }),
  route({
    method: 'put',
    path: '/v1/supplier/fees',
    access: 'distribution',
    tag: 'set-up',
    summary: 'Set the fees; orders pushed before keep theirs',
    body: feesInput,
    answers: { 200: z.object({ fees: feesAnswer }) },
    async handle({ account, body }, hub) {
      await complete(hub, account, { step: 'fees', fees: body });
      return ok({ fees: feesOf(body) });
    },
  }),
  route({
    method: 'get',
    path: '/v1/exchange-rates',
    access: 'distribution',
    tag: 'set-up',
    summary: 'The supplier’s fixed rates; each counts for its direction only',
    answers: { 200: exchangeRates },
    async handle({ account }, { store }) {
      const { rates } = await store.partnerships.supplier(account);
      return ok({ rates: rates.map(({ from, to, rate: text }) => ({ from, to, rate: text })) });
    },
  }),
  route({
    method: 'put',
    path: '/v1/exchange-rates',
    access: 'distribution',
    tag: 'set-up',
    summary: 'Replace the fixed rates',
    body: exchangeRatesInput,
    answers: { 200: exchangeRates },
    async handle({ account, body }, { store }) {
      const { rates } = await store.partnerships.setRates(account, body.rates);
      return ok({ rates: rates.map(({ from, to, rate: text }) => ({ from, to, rate: text })) });
    },
  }),
];
