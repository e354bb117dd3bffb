/** The last good live rates, shared by all accounts. Contract: catalogue.md, Distribution price. */
import type { ClientSession } from 'mongoose';
import type { Currency } from '../../domain/money';
import type { Database } from '../database';
import type { LiveRateDoc, SupplierDoc } from '../models/documents';

export interface CurrencyPair {
  readonly from: Currency;
  readonly to: Currency;
}

/** What decides whether a supplier needs a live rate. */
export type RateNeed = Pick<SupplierDoc, 'baseCurrency' | 'rates'>;

/** The pair whose live rate a price needs; null where both are the same or the supplier has a fixed one. */
export function pairNeeded({ baseCurrency, rates }: RateNeed, to: Currency | null): CurrencyPair | null {
  if (baseCurrency === null || to === null || baseCurrency === to) return null;
  return rates.some((rate) => rate.from === baseCurrency && rate.to === to) ? null : { from: baseCurrency, to };
}

const rateId = ({ from, to }: CurrencyPair) => `${from}/${to}`;

export function createRateRepository({ models, now }: Database) {
  async function neededBy(filter: { distributor?: string }): Promise<CurrencyPair[]> {
    const terms = await models.partnerships.aggregate<{ _id: { supplier: string; to: Currency } }>([
      { $match: { ...filter, status: 'partnered' } },
      { $group: { _id: { supplier: '$supplier', to: '$settlementCurrency' } } },
    ]);
    const suppliers = await models.suppliers
      .find({ _id: { $in: terms.map(({ _id }) => _id.supplier) } }, { baseCurrency: 1, rates: 1 })
      .lean();
    const pairs = terms.flatMap(({ _id }) => {
      const supplier = suppliers.find((row) => row._id === _id.supplier);
      return supplier ? (pairNeeded(supplier, _id.to) ?? []) : [];
    });
    return [...new Map(pairs.map((pair) => [rateId(pair), pair])).values()];
  }

  return {
    async live(session: ClientSession | null, pair: CurrencyPair): Promise<LiveRateDoc | null> {
      return models.liveRates.findById(rateId(pair)).session(session).lean();
    },

    /** Keeps rates fetched just now. */
    async keep(rates: readonly (CurrencyPair & { readonly rate: string })[]): Promise<void> {
      if (rates.length === 0) return;
      const fetchedAt = now();
      await models.liveRates.collection.bulkWrite(
        rates.map((rate) => ({
          updateOne: {
            filter: { _id: rateId(rate) },
            update: { $set: { from: rate.from, to: rate.to, rate: rate.rate, fetchedAt } },
            upsert: true,
          },
        })) as never,
        { ordered: true },
      );
    },

    /** Every pair that a partnership needs a live rate for. */
    needed: () => neededBy({}),
    /** Those of one distributor. */
    neededByDistributor: (distributor: string) => neededBy({ distributor }),

    /** Those among these that are missing or were fetched before the given time. */
    async olderThan(pairs: readonly CurrencyPair[], before: Date): Promise<(CurrencyPair & { missing: boolean })[]> {
      if (pairs.length === 0) return [];
      const rows = await models.liveRates.find({ _id: { $in: pairs.map(rateId) } }).lean();
      return pairs.flatMap((pair) => {
        const row = rows.find(({ _id }) => _id === rateId(pair));
        return row && row.fetchedAt >= before ? [] : [{ ...pair, missing: !row }];
      });
    },
  };
}
