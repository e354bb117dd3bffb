/** Prices as they are now: what they are computed from, read together. Contract: catalogue.md, Distribution price. */
import type { ClientSession } from 'mongoose';
import { type Currency, fractionOf, money } from '../../domain/money';
import { decidePrice, type PriceDecision, type PriceInput, type RateFound } from '../../domain/pricing';
import { type Database, found } from '../database';
import type { PriceLevelDoc, ProductDoc, SupplierDoc } from '../models/documents';
import { createRateRepository, pairNeeded } from './rates';

/** For whom a price is: what of the partnership decides it. */
export interface PriceTerms {
  readonly supplier: SupplierDoc;
  readonly level: string | null;
  readonly settlementCurrency: Currency;
}

/** The rate from base to settlement currency; catalogue.md: a fixed one counts for its direction only. */
function fixedRate(supplier: SupplierDoc, to: Currency): RateFound | null {
  if (supplier.baseCurrency === to) return { value: { numerator: 1n, denominator: 1n }, text: '1', source: 'same' };
  const fixed = supplier.rates.find((rate) => rate.from === supplier.baseCurrency && rate.to === to);
  const value = fixed ? fractionOf(fixed.rate) : null;
  return fixed && value ? { value, text: fixed.rate, source: 'fixed' } : null;
}

export function createPriceRepository(db: Database) {
  const { models } = db;
  const rates = createRateRepository(db);

  /** The fixed rate for this direction, else the live one, else none. */
  async function rate(session: ClientSession | null, supplier: SupplierDoc, to: Currency): Promise<RateFound | null> {
    const pair = pairNeeded(supplier, to);
    if (pair === null) return fixedRate(supplier, to);
    const live = await rates.live(session, pair);
    const value = live ? fractionOf(live.rate) : null;
    return live && value ? { value, text: live.rate, source: 'live', fetchedAt: live.fetchedAt.getTime() } : null;
  }

  function inputFor(
    terms: PriceTerms,
    product: Pick<ProductDoc, 'sku' | 'basePrice'>,
    level: PriceLevelDoc | null,
    skuPrices: readonly { sku: string; level: string | null; amount: number }[],
    rateNow: RateFound | null,
  ): PriceInput {
    const { baseCurrency, rounding } = terms.supplier;
    const inBase = (amount: number | null | undefined) =>
      amount == null || baseCurrency === null ? null : money(amount, baseCurrency);
    const skuPrice = (of: string | null) =>
      inBase(skuPrices.find((row) => row.sku === product.sku && row.level === of)?.amount);
    return {
      basePrice: inBase(product.basePrice),
      level: level === null ? null : { id: level._id, name: level.name, rule: level.rule },
      skuPrice: { forLevel: terms.level === null ? null : skuPrice(terms.level), forAll: skuPrice(null) },
      settlementCurrency: terms.settlementCurrency,
      rate: rateNow,
      rounding,
    };
  }

  /** The price now of each of these products, by SKU. */
  async function prices(
    session: ClientSession | null,
    terms: PriceTerms,
    products: readonly Pick<ProductDoc, 'sku' | 'basePrice'>[],
  ): Promise<Map<string, PriceDecision>> {
    const supplier = terms.supplier._id;
    // One after the other: a transaction's session takes one command at a time.
    const level =
      terms.level === null
        ? null
        : await models.priceLevels.findOne({ _id: terms.level, supplier }).session(session).lean();
    const skuPrices = await models.skuPrices
      .find(
        {
          supplier,
          sku: { $in: products.map(({ sku }) => sku) },
          level: { $in: [null, ...(level ? [level._id] : [])] },
        },
        { sku: 1, level: 1, amount: 1 },
      )
      .session(session)
      .lean();
    const rateNow = await rate(session, terms.supplier, terms.settlementCurrency);
    return new Map(
      products.map((product) => [product.sku, decidePrice(inputFor(terms, product, level, skuPrices, rateNow))]),
    );
  }

  /** What has no price in the base currency: each product at every level in use. At most `most` are named. */
  async function missing(
    supplier: string,
    most: number,
    session: ClientSession,
  ): Promise<{ sku: string; level: string | null }[]> {
    const setup = found(
      await models.suppliers.findById(supplier).session(session).lean(),
      'Distribution set-up; activate it first',
    );
    const products = await models.products.find({ supplier }).sort({ sku: 1 }).session(session).lean();
    const levels = await models.priceLevels.find({ supplier }).sort({ _id: 1 }).session(session).lean();
    const skuPrices = await models.skuPrices.find({ supplier }).session(session).lean();
    const withoutLevel = await models.partnerships
      .exists({ supplier, open: true, status: 'partnered', level: null })
      .session(session);
    const asked: (PriceLevelDoc | null)[] = levels.length === 0 || withoutLevel ? [null, ...levels] : levels;
    const rows: { sku: string; level: string | null }[] = [];
    for (const product of products)
      for (const level of asked) {
        if (setup.baseCurrency === null) return [{ sku: product.sku, level: null }];
        const terms = { supplier: setup, level: level?._id ?? null, settlementCurrency: setup.baseCurrency };
        const decision = decidePrice(inputFor(terms, product, level, skuPrices, fixedRate(setup, setup.baseCurrency)));
        if (!decision.ok && rows.push({ sku: product.sku, level: terms.level }) >= most) return rows;
      }
    return rows;
  }

  return { rate, prices, missing };
}
