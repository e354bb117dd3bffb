/** Warehouses and merchant SKUs. */
import { HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { SkuDoc, WarehouseDoc } from '../models/documents';

export const skuId = (account: string, sku: string) => `${account}/${sku}`;

export type CatalogueRepository = ReturnType<typeof createCatalogueRepository>;

export function createCatalogueRepository({ models, now }: Database) {
  return {
    /** The same command again makes no second one. */
    async addWarehouse(account: string, input: { name: string; command?: string }): Promise<WarehouseDoc> {
      const row: WarehouseDoc = {
        _id: idFor('warehouse', input.command),
        account,
        name: input.name,
        kind: 'own',
        source: null,
        createdAt: now(),
      };
      const { _id, ...fields } = row;
      await models.warehouses.updateOne({ _id }, { $setOnInsert: fields }, { upsert: true });
      return found(await models.warehouses.findById(_id).lean(), 'warehouse');
    },

    async warehouses(account: string, page: PageRequest): Promise<Page<WarehouseDoc>> {
      const rows = await models.warehouses
        .find({ account, ...(page.after === null ? {} : { _id: { $gt: page.after } }) })
        .sort({ _id: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ _id }) => _id);
    },

    /** 409 `sku_taken`; 422 where a component is not a single SKU of the account's. */
    async addSku(
      account: string,
      input: { sku: string; name: string; components: SkuDoc['components']; command?: string },
    ): Promise<SkuDoc> {
      const codes = input.components.map(({ sku }) => sku);
      if (codes.length > 0) {
        const known = await models.skus.find({ account, sku: { $in: codes }, kind: 'single' }, { sku: 1 }).lean();
        const missing = codes.flatMap((code, index) =>
          known.some(({ sku }) => sku === code)
            ? []
            : [
                {
                  pointer: `/components/${index}/sku`,
                  code: 'unknown_sku',
                  detail: `${code} is not a single SKU of this account`,
                },
              ],
        );
        if (missing.length > 0)
          throw new HubError('invalid_input', 'Components must be single SKUs', { errors: missing });
      }
      const row: SkuDoc = {
        _id: skuId(account, input.sku),
        account,
        sku: input.sku,
        name: input.name,
        kind: codes.length > 0 ? 'combination' : 'single',
        components: input.components,
        mirror: null,
        followers: 0,
        command: input.command ?? null,
        createdAt: now(),
      };
      try {
        await models.skus.create(row);
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const there = await models.skus.findById(row._id).lean();
        if (there && input.command !== undefined && there.command === input.command) return there;
        throw new HubError('sku_taken', `There is a SKU ${input.sku} already`, { cause: error });
      }
      return row;
    },

    async sku(account: string, sku: string): Promise<SkuDoc> {
      return found(await models.skus.findById(skuId(account, sku)).lean(), `SKU ${sku}`);
    },

    async skus(account: string, page: PageRequest): Promise<Page<SkuDoc>> {
      const rows = await models.skus
        .find({ account, ...(page.after === null ? {} : { sku: { $gt: page.after } }) })
        .sort({ sku: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ sku }) => sku);
    },

    async renameSku(account: string, sku: string, name: string): Promise<SkuDoc> {
      return found(
        await models.skus
          .findByIdAndUpdate(skuId(account, sku), { $set: { name } }, { returnDocument: 'after' })
          .lean(),
        `SKU ${sku}`,
      );
    },
  };
}
