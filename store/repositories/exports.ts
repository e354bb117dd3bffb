/** What exports are made of, read by cursors a piece at a time. */
import type { Database } from '../database';
import type { SkuDoc } from '../models/documents';

export interface ExportedSku extends Pick<SkuDoc, 'sku' | 'name' | 'kind' | 'components'> {
  readonly isDistributed: boolean;
}

export interface ExportedPrice {
  readonly sku: string;
  readonly basePrice: number | null;
  /** A level's name; null: all levels. */
  readonly level: string | null;
  readonly price: number | null;
}

export function createExportRepository({ models }: Database) {
  return {
    countSkus: (account: string): Promise<number> => models.skus.countDocuments({ account }),

    /** By code; single SKUs first, so that a combination comes after its components. */
    async *skus(account: string): AsyncGenerator<ExportedSku> {
      // At most 200.
      const products = await models.products.find({ supplier: account }, { sku: 1 }).lean();
      const distributed = new Set(products.map(({ sku }) => sku));
      for (const kind of ['single', 'combination'] as const) {
        const fields = { sku: 1, name: 1, kind: 1, components: 1 };
        const cursor = models.skus.find({ account, kind }, fields).sort({ sku: 1 }).lean().cursor({ batchSize: 500 });
        for await (const row of cursor) yield { ...row, isDistributed: distributed.has(row.sku) };
      }
    },

    /** By SKU: the base price with the price for all levels, then those of single levels. */
    async *prices(account: string): AsyncGenerator<ExportedPrice> {
      const levels = await models.priceLevels.find({ supplier: account }).lean();
      const names = new Map(levels.map(({ _id, name }) => [_id, name]));
      const products = models.products.find({ supplier: account }).sort({ sku: 1 }).lean().cursor();
      for await (const { sku, basePrice } of products) {
        const prices = await models.skuPrices.find({ supplier: account, sku }).lean();
        const forAll = prices.find(({ level }) => level === null);
        yield { sku, basePrice, level: null, price: forAll?.amount ?? null };
        const ofLevels = prices.flatMap(({ level, amount }) => {
          const name = level === null ? undefined : names.get(level);
          return name === undefined ? [] : [{ sku, basePrice, level: name, price: amount }];
        });
        yield* ofLevels.sort((a, b) => (a.level < b.level ? -1 : 1));
      }
    },
  };
}
