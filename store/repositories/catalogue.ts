/** Warehouses and merchant SKUs. */
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { idFor } from '../../domain/ids';
import { storeLaneId } from '../../domain/process-ids';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { SkuDoc, WarehouseDoc } from '../models/documents';
import { createDueRepository } from './dues';

export const skuId = (account: string, sku: string) => `${account}/${sku}`;

/** Packages that no longer need their SKU. */
const FINISHED = ['completed', 'cancelled', 'recalled'] as const;

export interface NewSku {
  readonly sku: string;
  readonly name: string;
  readonly components: SkuDoc['components'];
  readonly category?: string | null;
  readonly command?: string;
}

export function createCatalogueRepository(db: Database) {
  const { models, now } = db;
  const dues = createDueRepository(db);

  /** The components are written, so that this conflicts with their removal. 422 where one is no single SKU of the account's. */
  async function takeComponents(session: ClientSession, account: string, components: SkuDoc['components']) {
    const codes = components.map(({ sku }) => sku);
    if (codes.length === 0) return;
    const known = await models.skus
      .find({ account, sku: { $in: codes }, kind: 'single' }, { sku: 1 })
      .session(session)
      .lean();
    const errors = codes.flatMap((code, index) =>
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
    if (errors.length > 0) throw new HubError('invalid_input', 'Components must be single SKUs', { errors });
    await models.skus.updateMany({ account, sku: { $in: codes } }, { $inc: { followers: 1 } }, { session });
  }

  async function addSkuWithin(session: ClientSession, account: string, input: NewSku): Promise<SkuDoc> {
    await takeComponents(session, account, input.components);
    const row: SkuDoc = {
      _id: skuId(account, input.sku),
      account,
      sku: input.sku,
      name: input.name,
      kind: input.components.length > 0 ? 'combination' : 'single',
      components: input.components,
      category: input.category ?? null,
      mirror: null,
      followers: 0,
      command: input.command ?? null,
      createdAt: now(),
    };
    await models.skus.create([row], { session });
    return row;
  }

  /** Runs what makes a SKU. The same command again answers with what it made; 409 `sku_taken` for a code that is another's. */
  async function making<T>(
    account: string,
    input: NewSku,
    work: (session: ClientSession) => Promise<T>,
    again: (row: SkuDoc) => Promise<T>,
  ): Promise<T> {
    try {
      return await db.transact(work);
    } catch (error) {
      if (!isDuplicateKey(error)) throw error;
      const there = await models.skus.findById(skuId(account, input.sku)).lean();
      if (there && input.command !== undefined && there.command === input.command) return again(there);
      throw new HubError('sku_taken', `There is a SKU ${input.sku} already`, { cause: error });
    }
  }

  /** Everything that still needs the SKU. */
  async function holdersOf(session: ClientSession, account: string, sku: string) {
    const one = { _id: 1 } as const;
    const [orders, stock, sets, product, claim] = [
      await models.packages
        .find({ account, 'lines.sku': sku, status: { $nin: [...FINISHED] } }, { order: 1 })
        .limit(20)
        .session(session)
        .lean(),
      await models.stock
        .find(
          {
            account,
            sku,
            $or: ['onHand', 'allocated', 'reserved', 'inTransit'].map((name) => ({ [name]: { $ne: 0 } })),
          },
          { warehouse: 1 },
        )
        .limit(20)
        .session(session)
        .lean(),
      await models.skus.find({ account, 'components.sku': sku }, { sku: 1 }).limit(20).session(session).lean(),
      await models.products.findById(skuId(account, sku), one).session(session).lean(),
      await models.claims.findOne({ distributor: account, sku, stopped: false }, one).session(session).lean(),
    ];
    return {
      orders: [...new Set(orders.map(({ order }) => order))],
      warehouses: stock.map(({ warehouse }) => warehouse),
      combinations: sets.map((set) => set.sku),
      distributionProduct: product !== null,
      claimed: claim !== null,
    };
  }

  return {
    addSkuWithin,
    making,

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
    addSku: (account: string, input: NewSku): Promise<SkuDoc> =>
      making(
        account,
        input,
        (session) => addSkuWithin(session, account, input),
        async (row) => row,
      ),

    /**
     * Deletes a SKU that nothing needs any more; its listings are unconnected and pushed as 0. 409 `sku_in_use`, naming all
     * that does: its unfinished orders, warehouses with stock, combinations, and whether it is distributed or claimed.
     * @returns lanes to wake
     */
    removeSku(account: string, sku: string): Promise<string[]> {
      return db.transact(async (session) => {
        const row = found(await models.skus.findById(skuId(account, sku)).session(session).lean(), `SKU ${sku}`);
        const held = await holdersOf(session, account, sku);
        const lists = [held.orders, held.warehouses, held.combinations];
        if (held.distributionProduct || held.claimed || lists.some((list) => list.length > 0))
          throw new HubError('sku_in_use', `${sku} is still needed`, { members: held });
        for (const { sku: component } of row.components)
          await models.skus.updateOne({ _id: skuId(account, component) }, { $inc: { followers: 1 } }, { session });
        const listings = await models.listings.find({ account, sku }, { store: 1, item: 1 }).session(session).lean();
        await models.listings.updateMany(
          { account, sku },
          { $set: { sku: null, unconnectedReason: 'no_such_sku', updatedAt: now() } },
          { session },
        );
        // A push or a change of it that runs meanwhile writes these, and conflicts.
        await models.stock.deleteMany({ account, sku }, { session });
        await models.skus.deleteOne({ _id: row._id }, { session });
        const subjects = listings.map(({ _id, store, item }) => ({
          lane: storeLaneId(store),
          account,
          subject: _id,
          item,
        }));
        return dues.mark(session, subjects, { cause: `deletion of ${sku}`, urgent: true });
      }, `stock/${account}`);
    },

    async sku(account: string, sku: string): Promise<SkuDoc> {
      return found(await models.skus.findById(skuId(account, sku)).lean(), `SKU ${sku}`);
    },

    /** Those of these codes that are SKUs of the account. */
    async named(account: string, codes: readonly string[]): Promise<string[]> {
      const rows = await models.skus.find({ account, sku: { $in: [...codes] } }, { sku: 1 }).lean();
      return rows.map(({ sku }) => sku);
    },

    async skus(account: string, page: PageRequest): Promise<Page<SkuDoc>> {
      const rows = await models.skus
        .find({ account, ...(page.after === null ? {} : { sku: { $gt: page.after } }) })
        .sort({ sku: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ sku }) => sku);
    },

    /** Name and category. A category is resolved when a quantity is decided: changing it pushes nothing. */
    async changeSku(account: string, sku: string, set: Partial<Pick<SkuDoc, 'name' | 'category'>>): Promise<SkuDoc> {
      return found(
        await models.skus.findByIdAndUpdate(skuId(account, sku), { $set: set }, { returnDocument: 'after' }).lean(),
        `SKU ${sku}`,
      );
    },
  };
}
