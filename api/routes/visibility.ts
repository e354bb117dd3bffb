/** Visibility rules, and why a distributor sees a product and at what price. Contract: catalogue.md, Visibility rules, Distribution price. */
import { beginSettling } from '../../activities/claims';
import type { Currency, Money } from '../../domain/money';
import { ROUNDINGS } from '../../domain/money';
import { CLAIM_CAUSES, DISTRIBUTION_PRODUCT_LIMIT, PARTNERSHIP_STATUSES } from '../../domain/partnership';
import { PRICE_STEPS, RATE_SOURCES } from '../../domain/pricing';
import { UNSEEN_CAUSES, VISIBILITY_KINDS, type VisibilityRule } from '../../domain/visibility';
import { pageOf } from '../../store/database';
import type { VisibilityRuleDoc } from '../../store/models/documents';
import type { ExplainedOffer } from '../../store/repositories/offers';
import type { Hub } from '../hub';
import { withoutUndefined } from '../input';
import { created, listed, listOf, noContent, ok, route } from '../route';
import { currency, id, listOfDistinct, moneyAnswer, moneyOf, skuCode, time } from '../schemas/values';
import { z } from '../schemas/zod';

/** The list of a rule; a supplier with more distributors gives them a level. */
const DISTRIBUTORS_MOST = 1000;

const productScope = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({
    kind: z.literal('list'),
    skus: listOfDistinct(skuCode, { most: DISTRIBUTION_PRODUCT_LIMIT, what: 'a SKU' }),
  }),
]);
const distributorList = z.strictObject({
  kind: z.literal('list'),
  distributors: listOfDistinct(id, { most: DISTRIBUTORS_MOST }).openapi({
    description: 'Ids of their accounts or partnerships; kept by account',
  }),
});
const everybodyOrLevel = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('all') }),
  z.strictObject({ kind: z.literal('level'), level: id }),
]);
const number = z.int().min(1).max(1_000_000).openapi({ description: '1 is strongest; unique' });
const common = { number, enabled: z.boolean().default(true), products: productScope };
// No union by kind: of one that has none, or another, nothing else would be told. That kind and distributors fit the store sees to.
const selected = {
  kind: z.enum(VISIBILITY_KINDS).openapi({ description: '`only` and `hide` take a list, `scope` all or one level' }),
  distributors: z.union([distributorList, everybodyOrLevel]),
};
const newRule = z.strictObject({ ...common, ...selected });
const ruleChange = z
  .strictObject({ number, enabled: z.boolean(), products: productScope, ...selected })
  .partial()
  .refine((change) => Object.keys(change).length > 0, 'must change something');

const ruleFields = {
  id: z.string(),
  number: z.int(),
  enabled: z.boolean(),
  kind: z.enum(VISIBILITY_KINDS),
  products: z.union([
    z.object({ kind: z.literal('list'), skus: z.array(z.string()) }),
    z.object({ kind: z.literal('all') }),
  ]),
  distributors: z.union([
    z.object({ kind: z.literal('list'), distributors: z.array(z.string()) }),
    z.object({ kind: z.literal('level'), level: z.string() }),
    z.object({ kind: z.literal('all') }),
  ]),
};
const rule = z.object({ ...ruleFields, createdAt: time, updatedAt: time }).openapi('VisibilityRule');
const ruleInForce = z.object(ruleFields).openapi('VisibilityRuleInForce');

const inForce = ({ id: of, number: at, enabled, kind, products, distributors }: VisibilityRule) => ({
  ...{ id: of, number: at, enabled, kind, products, distributors },
});
const ruleOf = ({ _id, ...row }: VisibilityRuleDoc) => ({
  ...inForce({ id: _id, ...row }),
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
});

const ruleRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/visibility-rules',
    access: 'distribution',
    tag: 'visibility',
    summary: 'Visibility rules, the strongest first; at most 100',
    paged: true,
    answers: { 200: listOf(rule) },
    handle: async ({ account, page }, { store }) => listed(await store.visibility.list(account, page), ruleOf),
  }),
  route({
    method: 'post',
    path: '/v1/supplier/visibility-rules',
    access: 'distribution',
    tag: 'visibility',
    summary: 'Add a visibility rule; claims it hides are inactive, and their stock goes to 0',
    body: newRule,
    answers: { 201: rule },
    async handle({ account, body, command }, hub) {
      const row = await hub.store.visibility.add(account, body, command);
      await beginSettling(hub, account);
      return created(ruleOf(row));
    },
  }),
  route({
    method: 'patch',
    path: '/v1/supplier/visibility-rules/{id}',
    access: 'distribution',
    tag: 'visibility',
    summary: 'Change a visibility rule',
    body: ruleChange,
    answers: { 200: rule },
    async handle({ account, params, body }, hub) {
      const row = await hub.store.visibility.change(account, params.id, withoutUndefined(body));
      await beginSettling(hub, account);
      return ok(ruleOf(row));
    },
  }),
  route({
    method: 'delete',
    path: '/v1/supplier/visibility-rules/{id}',
    access: 'distribution',
    tag: 'visibility',
    summary: 'Remove a visibility rule; what it alone hid comes back',
    answers: { 204: null },
    async handle({ account, params }, hub) {
      await hub.store.visibility.remove(account, params.id);
      await beginSettling(hub, account);
      return noContent;
    },
  }),
];

const cause = z.object({ code: z.enum(UNSEEN_CAUSES), detail: z.string() });
const explanation = z
  .object({
    sku: z.string(),
    visible: z.boolean(),
    causes: z.array(cause).openapi({ description: 'Everything that keeps them from seeing it; empty where they do' }),
    partnership: z.object({ id: z.string(), distributor: z.string(), status: z.enum(PARTNERSHIP_STATUSES) }),
    product: z.object({ status: z.enum(['publishing', 'enabled', 'disabled']) }),
    disabledForDistributor: z.boolean(),
    warehouses: z.array(z.object({ id: z.string(), name: z.string(), available: z.int() })),
    price: moneyAnswer.nullable(),
    rules: z.object({
      applied: ruleInForce.nullable().openapi({ description: 'The one rule that counts for this distributor' }),
      restrictedBy: z.array(ruleInForce),
      visible: z.boolean(),
      reason: z.enum(['shown_by_rule', 'hidden_by_rule', 'restricted', 'unrestricted']),
    }),
    claim: z
      .object({ status: z.enum(['active', 'inactive', 'stopped']), causes: z.array(z.enum(CLAIM_CAUSES)) })
      .nullable(),
  })
  .openapi('VisibilityExplanation');

const moneyText = (value: Money) => moneyOf(value.amount, value.currency);
const claimStatusOf = ({ stopped, causes }: { stopped: boolean; causes: readonly unknown[] }) =>
  stopped ? 'stopped' : causes.length === 0 ? 'active' : 'inactive';

const explanationOf = (row: ExplainedOffer) => ({
  sku: row.product.sku,
  visible: row.causes.length === 0,
  causes: row.causes,
  partnership: {
    id: row.partnership._id,
    distributor: row.partnership.distributor,
    status: row.partnership.status,
  },
  product: { status: row.product.status },
  disabledForDistributor: row.disabledFor,
  warehouses: row.warehouses,
  price: row.price.ok ? moneyText(row.price.price) : null,
  rules: {
    applied: row.visibility.applied === null ? null : inForce(row.visibility.applied),
    restrictedBy: row.visibility.restrictedBy.map(inForce),
    visible: row.visibility.visible,
    reason: row.visibility.reason,
  },
  claim: row.claim === null ? null : { status: claimStatusOf(row.claim), causes: row.claim.causes },
});

const quote = z
  .object({
    sku: z.string(),
    distributor: z.string(),
    level: z.string().nullable(),
    rounding: z.enum(ROUNDINGS),
    price: moneyAnswer.nullable().openapi({ description: 'What an order synced now would be billed' }),
    reason: z.enum(['price_missing', 'exchange_rate_missing']).nullable(),
    steps: z.array(
      z.object({
        step: z.enum(PRICE_STEPS),
        used: z.boolean().openapi({ description: 'The price comes through it' }),
        amount: z.string().nullable().openapi({ description: 'Exact, not rounded' }),
        currency: currency.nullable(),
        detail: z.string(),
      }),
    ),
    rate: z
      .object({
        rate: z.string(),
        source: z.enum(RATE_SOURCES),
        fetchedAt: time.nullable(),
        ageSeconds: z.int().nullable().openapi({ description: 'Of a live rate: since it was fetched' }),
      })
      .nullable(),
    shown: moneyAnswer.nullable().openapi({ description: 'What the distributor sees' }),
    billed: moneyAnswer.nullable().openapi({ description: 'What their last order with it was billed' }),
    waiting: moneyAnswer.nullable().openapi({ description: 'Set where the next order is billed another than shown' }),
  })
  .openapi('PriceQuote');

function quoteOf(row: ExplainedOffer, rounding: (typeof ROUNDINGS)[number], base: Currency | null, now: Date) {
  const { price, partnership, claim, product } = row;
  const settlement = partnership.settlementCurrency ?? base;
  const current = price.ok ? moneyText(price.price) : null;
  const isClaimed = claim !== null && !claim.stopped;
  const shown = isClaimed ? moneyOf(claim.shownPrice, settlement) : current;
  const fetchedAt = price.ok ? (price.rate.fetchedAt ?? null) : null;
  return {
    sku: product.sku,
    distributor: partnership.distributor,
    level: partnership.level,
    rounding,
    price: current,
    reason: price.ok ? null : price.reason,
    steps: price.steps,
    rate: price.ok
      ? {
          rate: price.rate.text,
          source: price.rate.source,
          fetchedAt: fetchedAt === null ? null : new Date(fetchedAt),
          ageSeconds: fetchedAt === null ? null : Math.max(0, Math.floor((now.getTime() - fetchedAt) / 1000)),
        }
      : null,
    shown,
    billed: isClaimed ? moneyOf(claim.billedPrice, settlement) : null,
    waiting: current !== null && shown !== null && shown.amount !== current.amount ? current : null,
  };
}

/** A live rate that is missing is fetched before the price is explained. */
async function ensureRate({ store, rates }: Hub, supplier: string, distributor: string): Promise<void> {
  const { settlementCurrency } = await store.offers.partnershipOf(supplier, distributor);
  await rates.ensure(await store.partnerships.supplier(supplier), settlementCurrency);
}

const oneOffer = z.strictObject({
  distributor: id.openapi({ description: 'The id of their partnership, or of their account' }),
  sku: skuCode,
});

const explainRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/visibility',
    access: 'distribution',
    tag: 'visibility',
    summary: 'Why a distributor sees a product or not: every cause that holds',
    query: oneOffer,
    answers: { 200: explanation },
    async handle({ account, query }, hub) {
      await ensureRate(hub, account, query.distributor);
      return ok(explanationOf(await hub.store.offers.explainOne(account, query.distributor, query.sku)));
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/distributors/{id}/visibility',
    access: 'distribution',
    tag: 'visibility',
    summary: 'The same for each product, by SKU',
    paged: true,
    answers: { 200: listOf(explanation) },
    async handle({ account, params, page }, hub) {
      await ensureRate(hub, account, params.id);
      const all = await hub.store.offers.explainAll(account, params.id);
      return listed(
        pageOf(all, page, ({ product }) => product.sku),
        explanationOf,
      );
    },
  }),
  route({
    method: 'get',
    path: '/v1/supplier/price-quote',
    access: 'distribution',
    tag: 'prices',
    summary: 'Why a distributor has this price: each step, the rate, shown against billed',
    query: oneOffer,
    answers: { 200: quote },
    async handle({ account, query }, hub) {
      await ensureRate(hub, account, query.distributor);
      const { rounding, baseCurrency } = await hub.store.partnerships.supplier(account);
      const row = await hub.store.offers.explainOne(account, query.distributor, query.sku);
      return ok(quoteOf(row, rounding, baseCurrency, hub.now()));
    },
  }),
];

export const visibilityRoutes = [...ruleRoutes, ...explainRoutes];
