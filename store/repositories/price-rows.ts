/** Rows of a price import: base prices, and SKU prices for a level or for all. Contract: catalogue.md, Distribution products. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import type { PriceRow, RowError } from '../../domain/imports';
import type { Currency } from '../../domain/money';
import { type Database, found } from '../database';
import { skuId } from './catalogue';
import type { Applied, RowChange, RowKind, RowLeft } from './import-rows';
import { skuPriceId } from './levels';

/** Minor units of the currency that was the base currency then. */
interface Overwritten {
  readonly before: number | null;
  readonly after: number;
}

export interface PriceChange extends RowChange {
  readonly currency: Currency;
  readonly basePrice: Overwritten | null;
  /** Null: of all levels. */
  readonly level: string | null;
  readonly levelName: string | null;
  readonly price: Overwritten | null;
}

export function createPriceRows({ models, now }: Database): RowKind<PriceRow, PriceChange> {
  /** Levels by the names that rows give; each is written, so that using it conflicts with its removal. */
  async function levelsOf(session: ClientSession, account: string, rows: readonly PriceRow[]) {
    const given = [...new Set(rows.flatMap(({ level }) => (level === '' ? [] : [level])))];
    const levels = new Map<string, string>();
    if (given.length === 0) return levels;
    const filter = { supplier: account, name: { $in: given } };
    await models.priceLevels.updateMany(filter, { $inc: { uses: 1 } }, { session });
    for (const { _id, name } of await models.priceLevels.find(filter).session(session).lean()) levels.set(name, _id);
    return levels;
  }

  async function knownFor(session: ClientSession, account: string, rows: readonly PriceRow[]) {
    const ids = rows.map(({ sku }) => skuId(account, sku));
    const levels = await levelsOf(session, account, rows);
    const products = await models.products
      .find({ _id: { $in: ids } })
      .session(session)
      .lean();
    const priced = rows.map(({ sku, level }) => skuPriceId(account, sku, levels.get(level) ?? null));
    const prices = await models.skuPrices
      .find({ _id: { $in: priced } })
      .session(session)
      .lean();
    return {
      levels,
      basePrices: new Map(products.map(({ sku, basePrice }) => [sku, basePrice])),
      prices: new Map(prices.map(({ _id, amount }) => [_id, amount])),
    };
  }

  /** Written, so that it conflicts with a change of the base currency. */
  async function takeSetup(session: ClientSession, account: string) {
    const row = await models.suppliers.findByIdAndUpdate(account, { $inc: { touched: 1 } }, { session }).lean();
    return found(row, 'Distribution set-up; activate it first');
  }

  async function write(session: ClientSession, account: string, changes: readonly PriceChange[]): Promise<void> {
    const basePrices = changes.flatMap(({ sku, basePrice }) =>
      basePrice === null
        ? []
        : [{ updateOne: { filter: { _id: skuId(account, sku) }, update: { $set: { basePrice: basePrice.after } } } }],
    );
    if (basePrices.length > 0) await models.products.collection.bulkWrite(basePrices as never, { session });
    const prices = changes.flatMap(({ sku, level, price }) => {
      if (price === null) return [];
      const _id = skuPriceId(account, sku, level);
      const replacement = { _id, supplier: account, sku, level, amount: price.after, updatedAt: now() };
      return [{ replaceOne: { filter: { _id }, replacement, upsert: true } }];
    });
    if (prices.length > 0) await models.skuPrices.collection.bulkWrite(prices as never, { session });
  }

  /** @returns whether the price was as the import left it */
  async function restoreBasePrice(session: ClientSession, account: string, { sku, basePrice }: PriceChange) {
    if (basePrice === null) return true;
    const { matchedCount } = await models.products.updateOne(
      { _id: skuId(account, sku), basePrice: basePrice.after },
      { $set: { basePrice: basePrice.before } },
      { session },
    );
    return matchedCount > 0;
  }

  async function restorePrice(session: ClientSession, account: string, { sku, level, price }: PriceChange) {
    if (price === null) return true;
    const there = { _id: skuPriceId(account, sku, level), amount: price.after };
    if (price.before === null) return (await models.skuPrices.deleteOne(there, { session })).deletedCount > 0;
    const before = { $set: { amount: price.before, updatedAt: now() } };
    return (await models.skuPrices.updateOne(there, before, { session })).matchedCount > 0;
  }

  return {
    async apply(session, { account, currency: readIn, planned }, rows): Promise<Applied<PriceChange>> {
      const currency = found((await takeSetup(session, account)).baseCurrency, 'base currency; set it first');
      // The rows hold minor units: as another currency they would be other prices.
      if (currency !== readIn)
        throw new HubError(
          'currency_mismatch',
          `The file was read in ${readIn}; the base currency is ${currency} by now`,
        );
      const { levels, basePrices, prices } = await knownFor(session, account, rows);
      for (const [sku, amount] of planned?.basePrices ?? []) if (basePrices.has(sku)) basePrices.set(sku, amount);
      const changes: PriceChange[] = [];
      const errors: RowError[] = [];
      for (const { line, sku, basePrice, level: given, price } of rows) {
        const level = given === '' ? null : levels.get(given);
        if (!basePrices.has(sku) || level === undefined) {
          if (!basePrices.has(sku))
            errors.push({
              line,
              column: 'sku',
              code: 'unknown_product',
              detail: `${sku} is not a distribution product`,
            });
          if (level === undefined)
            errors.push({ line, column: 'level', code: 'unknown_level', detail: `there is no level ${given}` });
          continue;
        }
        const id = skuPriceId(account, sku, level);
        const change = overwritten(basePrices.get(sku) ?? null, basePrice);
        const priceChange = overwritten(prices.get(id) ?? null, price);
        if (change === null && priceChange === null) continue;
        changes.push({
          line,
          sku,
          currency,
          basePrice: change,
          level,
          levelName: level === null ? null : given,
          price: priceChange,
        });
        if (change) basePrices.set(sku, change.after);
        if (priceChange) prices.set(id, priceChange.after);
      }
      await write(session, account, changes);
      const failed = new Set(errors.map(({ line }) => line)).size;
      const unchanged = rows.length - changes.length - failed;
      return { changes, errors, unchanged, publications: [], madeSingles: [], madeProducts: 0 };
    },

    async revert(session, account, changes): Promise<RowLeft[]> {
      const { baseCurrency } = await takeSetup(session, account);
      const left: RowLeft[] = [];
      for (const change of [...changes].reverse()) {
        const { line, sku } = change;
        if (change.currency !== baseCurrency) left.push({ line, sku, detail: 'the base currency is another by now' });
        else {
          if (!(await restoreBasePrice(session, account, change)))
            left.push({ line, sku, detail: 'the base price was changed since' });
          if (!(await restorePrice(session, account, change)))
            left.push({ line, sku, detail: 'the SKU price was changed since' });
        }
      }
      return left;
    },
  };
}

const overwritten = (before: number | null, after: number | null): Overwritten | null =>
  after === null || after === before ? null : { before, after };
