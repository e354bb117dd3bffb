/** A supplier's levels of distributors and its SKU prices. Contract: catalogue.md, Distribution price. */
import type { ClientSession } from 'mongoose';
import { HubError, type InputProblem } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import type { Money, Rounding } from '../../domain/money';
import { LEVEL_LIMIT, type LevelRule } from '../../domain/pricing';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { PriceLevelDoc, SkuPriceDoc } from '../models/documents';
import { skuId } from './catalogue';

export interface LevelInput {
  readonly name: string;
  readonly rule: LevelRule;
}

export interface SkuPriceInput {
  readonly sku: string;
  /** Null: for all levels. */
  readonly level: string | null;
  readonly price: Money;
}

/** The id of one SKU price: of one level, or of all. */
export const skuPriceId = (supplier: string, sku: string, level: string | null) =>
  `${skuId(supplier, sku)}|${level ?? ''}`;

export function createLevelRepository(db: Database) {
  const { models, now } = db;

  /** Takes the set-up row for this transaction, so that two that pass one count, or a change of currency, conflict. */
  async function touch(session: ClientSession, supplier: string) {
    return found(
      await models.suppliers.findByIdAndUpdate(supplier, { $inc: { touched: 1 } }, { session }).lean(),
      'Distribution set-up; activate it first',
    );
  }

  function checkRule(rule: LevelRule | undefined, baseCurrency: string | null): void {
    if (rule?.kind === 'basePlusAmount' && rule.amount.currency !== baseCurrency)
      throw new HubError('invalid_input', 'The amount must be in the base currency', {
        errors: [
          {
            pointer: '/rule/amount/currency',
            code: 'currency_mismatch',
            detail: `Levels are in ${baseCurrency ?? 'the base currency, which is not set yet'}`,
          },
        ],
      });
  }

  /** 409 where another level has the name. All who write levels write the set-up first, so none passes another here. */
  async function refuseTaken(session: ClientSession, supplier: string, name: string, id: string): Promise<void> {
    if (await models.priceLevels.exists({ supplier, name, _id: { $ne: id } }).session(session))
      throw new HubError('name_taken', `There is a level ${name} already`);
  }

  /** Nothing, or that there is no such level. Something is about to use it: in that transaction, so that it conflicts with its removal. */
  async function problemOf(
    session: ClientSession,
    supplier: string,
    id: string,
    pointer: string,
  ): Promise<InputProblem[]> {
    const { matchedCount } = await models.priceLevels.updateOne(
      { _id: id, supplier },
      { $inc: { uses: 1 } },
      { session },
    );
    return matchedCount > 0 ? [] : [{ pointer, code: 'unknown_level', detail: `There is no level ${id}` }];
  }

  /** As `problemOf`; 422 `invalid_input` where there is none. */
  async function require(session: ClientSession, supplier: string, id: string): Promise<void> {
    const errors = await problemOf(session, supplier, id, '/level');
    if (errors.length > 0) throw new HubError('invalid_input', 'There is no such level', { errors });
  }

  return {
    require,
    problemOf,

    /** 409 `level_limit`, `name_taken`. The same command again makes no second one. */
    add(supplier: string, input: LevelInput, command?: string): Promise<PriceLevelDoc> {
      const _id = idFor('level', command);
      return db.transact(async (session) => {
        const there = await models.priceLevels.findOne({ _id, supplier }).session(session).lean();
        if (there) return there;
        const setup = await touch(session, supplier);
        checkRule(input.rule, setup.baseCurrency);
        if ((await models.priceLevels.countDocuments({ supplier }).session(session)) >= LEVEL_LIMIT)
          throw new HubError('level_limit', `There are ${LEVEL_LIMIT} already`);
        await refuseTaken(session, supplier, input.name, _id);
        const row: PriceLevelDoc = { _id, supplier, ...input, uses: 0, createdAt: now(), updatedAt: now() };
        await models.priceLevels.create([row], { session });
        return row;
      }, `products/${supplier}`);
    },

    /** Claims keep the price they show until their next order is synced. 409 `name_taken`. */
    change(supplier: string, id: string, set: Partial<LevelInput>): Promise<PriceLevelDoc> {
      return db.transact(async (session) => {
        const setup = await touch(session, supplier);
        checkRule(set.rule, setup.baseCurrency);
        if (set.name !== undefined) await refuseTaken(session, supplier, set.name, id);
        return found(
          await models.priceLevels
            .findOneAndUpdate(
              { _id: id, supplier },
              { $set: { ...set, updatedAt: now() } },
              { session, returnDocument: 'after' },
            )
            .lean(),
          'level',
        );
      });
    },

    /** Removes a level and its SKU prices. 409 `level_in_use`, naming the partnerships or rules that have it. */
    async remove(supplier: string, id: string): Promise<void> {
      await db.transact(async (session) => {
        found(await models.priceLevels.findOneAndDelete({ _id: id, supplier }, { session }).lean(), 'level');
        const partnerships = await models.partnerships
          .find({ supplier, level: id, open: true }, { _id: 1 })
          .sort({ _id: 1 })
          .limit(50)
          .session(session)
          .lean();
        if (partnerships.length > 0)
          throw new HubError('level_in_use', 'Distributors have this level', {
            members: { partnerships: partnerships.map(({ _id }) => _id) },
          });
        const rules = await models.visibilityRules
          .find({ supplier, 'distributors.level': id }, { number: 1 })
          .sort({ number: 1 })
          .session(session)
          .lean();
        if (rules.length > 0)
          throw new HubError('level_in_use', 'Visibility rules name this level', {
            members: { rules: rules.map(({ _id }) => _id) },
          });
        await models.skuPrices.deleteMany({ supplier, level: id }, { session });
      });
    },

    async level(supplier: string, id: string): Promise<PriceLevelDoc> {
      return found(await models.priceLevels.findOne({ _id: id, supplier }).lean(), 'level');
    },

    /** By id; at most ten. */
    async list(supplier: string, page: PageRequest): Promise<Page<PriceLevelDoc>> {
      const rows = await models.priceLevels
        .find({ supplier, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** Sets SKU prices, all or none; every row that can't be set is named. */
    async setSkuPrices(supplier: string, rows: readonly SkuPriceInput[]): Promise<SkuPriceDoc[]> {
      return db.transact(async (session) => {
        const { baseCurrency } = await touch(session, supplier);
        const products = await models.products
          .find({ supplier, sku: { $in: rows.map(({ sku }) => sku) } }, { sku: 1 })
          .session(session)
          .lean();
        const levels = new Set<string>();
        for (const level of new Set(rows.flatMap((row) => row.level ?? []))) {
          const row = await models.priceLevels
            .findOneAndUpdate({ _id: level, supplier }, { $inc: { uses: 1 } }, { session })
            .lean();
          if (row) levels.add(level);
        }
        const errors = rows.flatMap(({ sku, level, price }, index): InputProblem[] => {
          const at = (field: string, code: string, detail: string) => ({
            pointer: `/prices/${index}/${field}`,
            code,
            detail,
          });
          return [
            ...(products.some((product) => product.sku === sku)
              ? []
              : [at('sku', 'unknown_product', `${sku} is not a distribution product`)]),
            ...(level === null || levels.has(level)
              ? []
              : [at('level', 'unknown_level', `There is no level ${level}`)]),
            ...(price.currency === baseCurrency
              ? []
              : [
                  at('price/currency', 'currency_mismatch', `SKU prices are in ${baseCurrency ?? 'the base currency'}`),
                ]),
          ];
        });
        if (errors.length > 0) throw new HubError('invalid_input', 'Some prices can not be set', { errors });
        const docs = rows.map(
          ({ sku, level, price }): SkuPriceDoc => ({
            _id: skuPriceId(supplier, sku, level),
            supplier,
            sku,
            level,
            amount: price.amount,
            updatedAt: now(),
          }),
        );
        await models.skuPrices.collection.bulkWrite(
          docs.map((doc) => ({ replaceOne: { filter: { _id: doc._id }, replacement: doc, upsert: true } })) as never,
          { session },
        );
        return docs;
      });
    },

    /** Takes one SKU price away; one that is not there is 404. */
    async removeSkuPrice(supplier: string, sku: string, level: string | null): Promise<void> {
      found(
        await models.skuPrices.findOneAndDelete({ _id: skuPriceId(supplier, sku, level), supplier }).lean(),
        'SKU price',
      );
    },

    /** Claims show their price until their next order is synced. */
    async setRounding(supplier: string, rounding: Rounding): Promise<Rounding> {
      const row = await models.suppliers
        .findByIdAndUpdate(supplier, { $set: { rounding } }, { returnDocument: 'after' })
        .lean();
      return found(row, 'Distribution set-up; activate it first').rounding;
    },

    async skuPrices(
      supplier: string,
      filter: { sku?: string; level?: string | null },
      page: PageRequest,
    ): Promise<Page<SkuPriceDoc>> {
      const rows = await models.skuPrices
        .find({ supplier, ...filter, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },
  };
}
