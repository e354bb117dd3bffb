/** Levels, SKU prices and rounding. Contract: catalogue.md, Distribution price. */
import type { Currency } from '../../domain/money';
import { ROUNDINGS } from '../../domain/money';
import type { LevelRule } from '../../domain/pricing';
import type { PriceLevelDoc, SkuPriceDoc } from '../../store/models/documents';
import { withoutUndefined } from '../input';
import { created, listed, listOf, noContent, ok, route } from '../route';
import {
  id,
  lineOf,
  moneyAnswer,
  moneyOf,
  ofItems,
  percent,
  signedMoney,
  skuCode,
  time,
  zeroOrMore,
} from '../schemas/values';
import { z } from '../schemas/zod';

const levelRule = z.discriminatedUnion('kind', [
  z.strictObject({ kind: z.literal('percentOfBase'), percent }),
  z.strictObject({ kind: z.literal('basePlusPercent'), percent }),
  z.strictObject({ kind: z.literal('basePlusAmount'), amount: signedMoney }),
]);
const newLevel = z.strictObject({ name: lineOf(100), rule: levelRule });
const levelChange = newLevel.partial().refine((change) => Object.keys(change).length > 0, 'must change something');

const level = z
  .object({
    id: z.string(),
    name: z.string(),
    rule: z.union([
      z.object({ kind: z.enum(['percentOfBase', 'basePlusPercent']), percent: z.string() }),
      z.object({ kind: z.literal('basePlusAmount'), amount: moneyAnswer }),
    ]),
    createdAt: time,
    updatedAt: time,
  })
  .openapi('Level');

const ruleOf = (rule: LevelRule) =>
  rule.kind === 'basePlusAmount'
    ? { kind: rule.kind, amount: moneyOf(rule.amount.amount, rule.amount.currency) }
    : { kind: rule.kind, percent: rule.percent };

const levelOf = (row: PriceLevelDoc) => ({
  id: row._id,
  name: row.name,
  rule: ruleOf(row.rule),
  createdAt: row.createdAt,
  updatedAt: row.updatedAt,
});

const levelRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/levels',
    access: 'distribution',
    tag: 'prices',
    summary: 'The levels of distributors; at most 10',
    paged: true,
    answers: { 200: listOf(level) },
    handle: async ({ account, page }, { store }) => listed(await store.levels.list(account, page), levelOf),
  }),
  route({
    method: 'post',
    path: '/v1/supplier/levels',
    access: 'distribution',
    tag: 'prices',
    summary: 'Make a level with its pricing rule',
    body: newLevel,
    answers: { 201: level },
    handle: async ({ account, body, command }, { store }) =>
      created(levelOf(await store.levels.add(account, body, command))),
  }),
  route({
    method: 'patch',
    path: '/v1/supplier/levels/{id}',
    access: 'distribution',
    tag: 'prices',
    summary: 'Change a level; claims show their price until their next order is synced',
    body: levelChange,
    answers: { 200: level },
    handle: async ({ account, params, body }, { store }) =>
      ok(levelOf(await store.levels.change(account, params.id, withoutUndefined(body)))),
  }),
  route({
    method: 'delete',
    path: '/v1/supplier/levels/{id}',
    access: 'distribution',
    tag: 'prices',
    summary: 'Remove a level and its SKU prices; not while it is in use',
    answers: { 204: null },
    async handle({ account, params }, { store }) {
      await store.levels.remove(account, params.id);
      return noContent;
    },
  }),
];

/** Cells in one call. */
const SKU_PRICES_AT_ONCE = 500;
const cell = { sku: skuCode, level: id.nullable().optional().openapi({ description: 'Null: for all levels' }) };
const skuPricesInput = z.strictObject({
  prices: z
    .array(z.strictObject({ ...cell, price: zeroOrMore }))
    .min(1)
    .max(SKU_PRICES_AT_ONCE)
    .refine(
      (rows) => {
        const cells = rows.flatMap(({ sku, level: of }) =>
          sku === undefined ? [] : JSON.stringify([sku, of ?? null]),
        );
        return new Set(cells).size === cells.length;
      },
      { message: 'must not name a cell twice', ...ofItems },
    ),
});
const skuPrice = z
  .object({ sku: z.string(), level: z.string().nullable(), price: moneyAnswer, updatedAt: time })
  .openapi('SkuPrice');
const skuPriceOf = (row: SkuPriceDoc, base: Currency | null) => ({
  sku: row.sku,
  level: row.level,
  price: moneyOf(row.amount, base),
  updatedAt: row.updatedAt,
});

/** `all` in a query is the price for all levels. */
const levelQuery = z.union([z.literal('all'), id]).openapi({ description: 'A level’s id, or `all`' });
const levelAsked = (text: string): string | null => (text === 'all' ? null : text);

const skuPriceRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/sku-prices',
    access: 'distribution',
    tag: 'prices',
    summary: 'SKU prices: fixed amounts in the base currency, for one level or for all',
    query: z.strictObject({ sku: skuCode.optional(), level: levelQuery.optional() }),
    paged: true,
    answers: { 200: listOf(skuPrice) },
    async handle({ account, query, page }, { store }) {
      const { baseCurrency } = await store.partnerships.supplier(account);
      const filter = {
        ...withoutUndefined({ sku: query.sku }),
        ...(query.level === undefined ? {} : { level: levelAsked(query.level) }),
      };
      return listed(await store.levels.skuPrices(account, filter, page), (row) => skuPriceOf(row, baseCurrency));
    },
  }),
  route({
    method: 'put',
    path: '/v1/supplier/sku-prices',
    access: 'distribution',
    tag: 'prices',
    summary: 'Set SKU prices, all or none',
    body: skuPricesInput,
    answers: { 200: z.object({ items: z.array(skuPrice) }) },
    async handle({ account, body }, { store }) {
      const rows = await store.levels.setSkuPrices(
        account,
        body.prices.map(({ sku, level: of, price }) => ({ sku, level: of ?? null, price })),
      );
      const { baseCurrency } = await store.partnerships.supplier(account);
      return ok({ items: rows.map((row) => skuPriceOf(row, baseCurrency)) });
    },
  }),
  route({
    method: 'delete',
    path: '/v1/supplier/sku-prices',
    access: 'distribution',
    tag: 'prices',
    summary: 'Take one SKU price away: of a level, or the one for all levels',
    query: z.strictObject({ sku: skuCode, level: levelQuery.default('all') }),
    answers: { 204: null },
    async handle({ account, query }, { store }) {
      await store.levels.removeSkuPrice(account, query.sku, levelAsked(query.level));
      return noContent;
    },
  }),
];

const rounding = z.object({ rounding: z.enum(ROUNDINGS) });

const roundingRoutes = [
  route({
    method: 'get',
    path: '/v1/supplier/rounding',
    access: 'distribution',
    tag: 'prices',
    summary: 'How prices are rounded, last',
    answers: { 200: rounding },
    handle: async ({ account }, { store }) => {
      const row = await store.partnerships.supplier(account);
      return ok({ rounding: row.rounding });
    },
  }),
  route({
    method: 'put',
    path: '/v1/supplier/rounding',
    access: 'distribution',
    tag: 'prices',
    summary: 'Set the rounding: to whole units up, down or half up, or to two decimals half up',
    body: z.strictObject({ rounding: z.enum(ROUNDINGS) }),
    answers: { 200: rounding },
    handle: async ({ account, body }, { store }) =>
      ok({ rounding: await store.levels.setRounding(account, body.rounding) }),
  }),
];

export const pricingRoutes = [...levelRoutes, ...skuPriceRoutes, ...roundingRoutes];
