/** Automation: what is done to orders by rules, and what it would do to those that are open. Contract: orders.md, Automation. */
import {
  AUTOMATION_RULES_MOST,
  type AutomationKind,
  type AutomationSettings,
  CONDITION_SKUS_MOST,
  type Conditions,
  MARKED,
  RULE_GIFTS_MOST,
  RULE_NAMES_MOST,
  RULE_TAGS_MOST,
  SHIPPING_RULES_OF,
  SWITCHES_MOST,
} from '../../domain/automation';
import { SHIPPING_KINDS } from '../../domain/pricing';
import type { StoredAutomation } from '../../store/repositories/automation';
import { PREVIEW_MOST } from '../../store/repositories/automation-preview';
import { ok, type Route, route } from '../route';
import {
  id,
  lineOf,
  listOfDistinct,
  moneyAnswer,
  moneyOf,
  positiveQuantity,
  QUANTITY_MOST,
  queryFlag,
  skuCode,
  time,
  zeroOrMore,
} from '../schemas/values';
import { z } from '../schemas/zod';

const ids = listOfDistinct(id, { most: RULE_NAMES_MOST });
const shippings = listOfDistinct(z.enum(SHIPPING_KINDS), { most: SHIPPING_KINDS.length });
const texts = listOfDistinct(lineOf(300), { most: RULE_NAMES_MOST });
export const tag = lineOf(50);

const conditionFields = {
  stores: ids
    .optional()
    .openapi({ description: 'Own stores; `api` for orders that came without one. Own orders alone' }),
  partnerships: ids.optional().openapi({ description: 'Supply orders alone' }),
  sourceStores: texts.optional().openapi({ description: 'As supply orders show them. Supply orders alone' }),
  warehouses: ids.optional().openapi({ description: 'Supply orders alone' }),
  platforms: listOfDistinct(lineOf(50), { most: RULE_NAMES_MOST }).optional(),
  shippings: shippings.optional(),
  skus: z
    .strictObject({ match: z.enum(['any', 'all']), skus: listOfDistinct(skuCode, { most: CONDITION_SKUS_MOST }) })
    .optional()
    .openapi({ description: '`any`: one line is of these. `all`: every line is' }),
  quantity: z
    .strictObject({
      atLeast: positiveQuantity.optional(),
      atMost: positiveQuantity.optional(),
    })
    .optional()
    .openapi({ description: 'Units of the SKUs named; of all where none are' }),
};
const conditions = z
  .strictObject({
    ...conditionFields,
    amount: z.strictObject({ atLeast: zeroOrMore.optional(), atMost: zeroOrMore.optional() }).optional(),
  })
  .openapi({ description: 'Each that is left out holds; all that are there must hold' });
const conditionsAnswer = z.object({
  ...conditionFields,
  amount: z.object({ atLeast: moneyAnswer.optional(), atMost: moneyAnswer.optional() }).optional(),
});
const conditionsOf = ({ amount, ...rest }: Conditions) => ({
  ...rest,
  ...(amount
    ? {
        amount: {
          ...(amount.atLeast ? { atLeast: moneyOf(amount.atLeast.amount, amount.atLeast.currency) } : {}),
          ...(amount.atMost ? { atMost: moneyOf(amount.atMost.amount, amount.atMost.currency) } : {}),
        },
      }
    : {}),
});

const head = {
  name: lineOf(100).openapi({ description: 'Unique; what a rule did is told by it' }),
  enabled: z.boolean().default(true),
  priority: z.int().min(1).max(QUANTITY_MOST).openapi({ description: 'Unique; the smallest comes first' }),
};

const packFields = {
  ...head,
  stores: z
    .discriminatedUnion('kind', [
      z.strictObject({ kind: z.literal('all_bigshop') }),
      z.strictObject({
        kind: z.literal('list'),
        stores: z
          .array(z.strictObject({ partnership: id, sourceStore: lineOf(300).optional() }))
          .min(1)
          .max(RULE_NAMES_MOST),
      }),
    ])
    .openapi({ description: 'With `all_bigshop` there is no carrier to choose: any order counts' }),
  warehouses: ids.optional(),
  shippings: shippings.optional(),
  carriers: texts.optional().openapi({ description: 'Those that shipping rules chose' }),
};
const markFields = {
  ...head,
  of: z.enum(MARKED),
  tags: listOfDistinct(tag, { most: RULE_TAGS_MOST, least: 0 }).default([]),
  marketing: z.boolean().default(false),
};
const allocationFields = {
  ...head,
  warehouses: ids.openapi({ description: 'The one to take first comes first' }),
  strict: z
    .boolean()
    .default(false)
    .openapi({ description: 'No other warehouse is taken, even if these lack something' }),
};
const giftFields = {
  ...head,
  gifts: z
    .array(z.strictObject({ sku: skuCode, quantity: positiveQuantity.max(1000) }))
    .min(1)
    .max(RULE_GIFTS_MOST),
  per: z.enum(['order', 'unit']).default('order'),
};
const shippingFields = {
  ...head,
  of: z.enum(SHIPPING_RULES_OF),
  carrier: lineOf(100),
};

const rulesOf = <Fields extends z.ZodRawShape>(fields: Fields) =>
  z.strictObject({ rules: z.array(z.strictObject(fields)).max(AUTOMATION_RULES_MOST) });
const rulesAnswer = <Fields extends z.ZodRawShape>(fields: Fields) => ({ rules: z.array(z.object(fields)) });
const withConditions = { conditions: conditions.default({}) };

const SETTINGS = {
  'auto-pack': rulesOf(packFields),
  'mark-rules': rulesOf({ ...markFields, ...withConditions }),
  'allocation-rules': rulesOf({ ...allocationFields, ...withConditions }),
  'gift-rules': rulesOf({ ...giftFields, ...withConditions }),
  'shipping-rules': rulesOf({ ...shippingFields, ...withConditions }),
  'auto-tool': z.strictObject({ enabled: z.boolean() }),
  'auto-push': z.strictObject({
    partnerships: listOfDistinct(id, { most: SWITCHES_MOST, least: 0 }).openapi({
      description: 'The partnerships whose switch is on; of all others it is off',
    }),
  }),
} as const satisfies Record<AutomationKind, z.ZodType>;

const ANSWERS = {
  'auto-pack': rulesAnswer(packFields),
  'mark-rules': rulesAnswer({ ...markFields, conditions: conditionsAnswer }),
  'allocation-rules': rulesAnswer({ ...allocationFields, conditions: conditionsAnswer }),
  'gift-rules': rulesAnswer({ ...giftFields, conditions: conditionsAnswer }),
  'shipping-rules': rulesAnswer({ ...shippingFields, conditions: conditionsAnswer }),
  'auto-tool': { enabled: z.boolean() },
  'auto-push': { partnerships: z.array(z.string()) },
} as const satisfies Record<AutomationKind, z.ZodRawShape>;

const SUMMARIES: Readonly<Record<AutomationKind, string>> = {
  'auto-pack': 'Which new supply orders are packed by themselves',
  'mark-rules': 'Which orders and supply orders are tagged',
  'allocation-rules': 'From which warehouse an order goes',
  'gift-rules': 'What is added to an order before it is pushed',
  'shipping-rules': 'Which carrier takes a Self-Delivery supply order',
  'auto-tool': 'Whether supply orders follow the orders of the distributors’ platforms',
  'auto-push': 'For which partnerships synced packages are pushed by themselves',
};

const change = z
  .object({
    order: z.string().nullable(),
    package: z.string().nullable(),
    supplyOrder: z.string().nullable(),
    rule: z.string().nullable(),
    what: z
      .string()
      .openapi({ description: 'What would change: status, tags, marketing, warehouse, gifts or carrier' }),
    before: z.unknown(),
    after: z.unknown(),
    detail: z.string().nullable(),
  })
  .openapi('AutomationChange');

const preview = z.object({
  looked: z.int().openapi({ description: `Open orders looked at, the newest first; at most ${PREVIEW_MOST}` }),
  complete: z.boolean().openapi({ description: 'Those were all' }),
  changes: z.array(change),
});

/** Settings as the API shows them: money as text. */
function settingsOf(settings: AutomationSettings[AutomationKind]) {
  if (!('rules' in settings)) return settings;
  return {
    rules: settings.rules.map((rule) =>
      'conditions' in rule ? { ...rule, conditions: conditionsOf(rule.conditions) } : rule,
    ),
  };
}

const storedOf = ({ settings, revision, updatedAt }: StoredAutomation<AutomationKind>) => ({
  ...settingsOf(settings),
  revision,
  updatedAt,
});

function routesOf<Kind extends AutomationKind>(kind: Kind): Route[] {
  const stored = {
    ...ANSWERS[kind],
    revision: z.int().openapi({ description: '0: nothing was ever set' }),
    updatedAt: time.nullable(),
  };
  const path = `/v1/automation/${kind}` as const;
  return [
    route({
      method: 'get',
      path,
      access: 'orders',
      tag: 'automation',
      summary: SUMMARIES[kind],
      answers: { 200: z.object(stored) },
      handle: async ({ account }, { store }) => ok(storedOf(await store.automation.get(account, kind))),
    }),
    route({
      method: 'put',
      path,
      access: 'orders',
      tag: 'automation',
      summary: `${SUMMARIES[kind]}: set as a whole, for what comes from now on`,
      query: z.strictObject({
        dryRun: queryFlag
          .optional()
          .openapi({ description: 'Change nothing, and answer with what it would do to the open orders there are' }),
      }),
      body: SETTINGS[kind],
      answers: { 200: z.object({ ...stored, dryRun: preview.nullable() }) },
      async handle({ account, query, body }, { store }) {
        const settings = body as AutomationSettings[Kind];
        if (!query.dryRun)
          return ok({ ...storedOf(await store.automation.put(account, kind, settings)), dryRun: null });
        await store.automation.check(account, kind, settings);
        const { revision, updatedAt } = await store.automation.get(account, kind);
        const dryRun = await store.automationPreview.look(account, kind, settings);
        return ok({ ...storedOf({ settings, revision, updatedAt }), dryRun });
      },
    }),
  ];
}

export const automationRoutes = (Object.keys(SETTINGS) as AutomationKind[]).flatMap(routesOf);
