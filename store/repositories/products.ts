/** Distribution products, what distributors see of them, claims and prices. Contract: catalogue.md. */
import type { ClientSession } from 'mongoose';
import { type FailureCode, HubError, isHubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { type Currency, type Money, money } from '../../domain/money';
import type { PackageStatus } from '../../domain/orders';
import { DISTRIBUTION_PRODUCT_LIMIT } from '../../domain/partnership';
import { processId } from '../../domain/process-ids';
import { DAY_MS, dailyAverage, SALES_WINDOWS_DAYS } from '../../domain/sales';
import { type Database, found, type Page, type PageRequest, pageOf, toPage } from '../database';
import type { ClaimDoc, PartnershipDoc, ProductDoc, SkuDoc, SupplierDoc } from '../models/documents';
import { createCatalogueRepository, type NewSku, skuId } from './catalogue';
import { createClaimRepository } from './claims';
import { createOfferRepository, disabledForId, type Offer } from './offers';
import { createOperationRepository } from './operations';

import { createProductLog } from './product-log';

/** What one row of a bulk request came to. */
export type RowResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: FailureCode; readonly detail: string };

/** A package in one of these was sold: pushed, and neither cancelled nor recalled. */
const SOLD = ['pushed', 'recalling', 'packed', 'to_pickup', 'shipped', 'completed'] as const satisfies PackageStatus[];

export interface ProductSales {
  readonly days: (typeof SALES_WINDOWS_DAYS)[number];
  readonly units: number;
  /** Units a day. */
  readonly dailyAverage: number;
}

const wrongCurrency = (base: Currency | null) =>
  `Base prices are in ${base ?? 'the base currency, which is not set yet'}`;

function refusePublishing({ sku, status }: ProductDoc): void {
  if (status === 'publishing') throw new HubError('publish_in_progress', `${sku} is being published; try again then`);
}

/** Visible to the distributor, not disabled for them, and priced. */
const isOffered = (offer: Offer | undefined): boolean =>
  offer?.visibility.visible === true && !offer.disabledFor && offer.price.ok;

export interface VisibleProduct {
  readonly sku: string;
  readonly name: string;
  readonly price: Money | null;
  /** Set where the next order will be billed another price than the one shown. */
  readonly waitingPrice: Money | null;
  /** Units available over the warehouses the distributor was given; none of a claimed product while a cause is against it. */
  readonly available: number;
  readonly claim: ClaimDoc | null;
}

export function createProductRepository(db: Database) {
  const { models, now } = db;
  const catalogue = createCatalogueRepository(db);
  const operations = createOperationRepository(db);
  const claims = createClaimRepository(db);
  const log = createProductLog(db);
  const offering = createOfferRepository(db);

  async function supplierOf(account: string): Promise<SupplierDoc> {
    return found(await models.suppliers.findById(account).lean(), 'Distribution set-up; activate it first');
  }

  /** The set-up, written: so that what rests on its base currency, or on a count of products, conflicts with a change of it. */
  async function takeSetup(session: ClientSession, account: string): Promise<SupplierDoc> {
    const row = await models.suppliers.findByIdAndUpdate(account, { $inc: { touched: 1 } }, { session }).lean();
    return found(row, 'Distribution set-up; activate it first');
  }

  async function addOne(account: string, input: { sku: string; basePrice: Money | null }): Promise<ProductDoc> {
    return db.transact(async (session) => {
      // Read here, so that a removal of the SKU meanwhile conflicts with what is written to it below.
      const entry = await models.skus.findById(skuId(account, input.sku)).session(session).lean();
      return addWithin(session, account, found(entry, `SKU ${input.sku}`), input);
    }, `products/${account}`);
  }

  /**
   * Adds a product in the transaction of whoever makes, or finds, its SKU. What is there already is answered as it is.
   * @param planned products that the caller counts in besides those that are there
   */
  async function addWithin(
    session: ClientSession,
    account: string,
    entry: Pick<SkuDoc, 'sku' | 'kind' | 'mirror'>,
    input: { sku: string; basePrice: Money | null },
    planned = 0,
  ): Promise<ProductDoc> {
    const { baseCurrency } = await takeSetup(session, account);
    if (entry.kind === 'combination')
      throw new HubError('combination_not_supported', `${input.sku} is a combination SKU`);
    if (entry.mirror) throw new HubError('sub_distribution_not_allowed', `${input.sku} comes from a supplier itself`);
    if (input.basePrice && input.basePrice.currency !== baseCurrency)
      throw new HubError('currency_mismatch', wrongCurrency(baseCurrency));
    const _id = skuId(account, input.sku);
    const there = await models.products.findById(_id).session(session).lean();
    if (there) return there;
    const count = await models.products.countDocuments({ supplier: account }).session(session);
    if (count + planned >= DISTRIBUTION_PRODUCT_LIMIT)
      throw new HubError('distribution_product_limit', `There are ${DISTRIBUTION_PRODUCT_LIMIT} already`);
    // The SKU is written so that this conflicts with its removal.
    await models.skus.updateOne({ _id }, { $inc: { followers: 1 } }, { session });
    // A product that an import's undo took away and that comes again is published anew.
    const published = await models.productLog
      .countDocuments({ supplier: account, sku: input.sku, what: 'enabled', distributor: null })
      .session(session);
    const attempt = published + 1;
    const row: ProductDoc = {
      _id,
      supplier: account,
      sku: input.sku,
      status: 'publishing',
      attempt,
      basePrice: input.basePrice?.amount ?? null,
      createdAt: now(),
    };
    await models.products.create([row], { session });
    const key = attempt === 1 ? `${_id}/added` : `${_id}/added/${attempt}`;
    await log.write(session, { supplier: account, sku: input.sku, what: 'added', who: account, why: null, key });
    return row;
  }

  async function partnered(
    distributor: string,
    partnership: string,
  ): Promise<PartnershipDoc & { settlementCurrency: Currency }> {
    const row = found(await models.partnerships.findOne({ _id: partnership, distributor }).lean(), 'partnership');
    if (row.status !== 'partnered' || row.settlementCurrency === null)
      throw new HubError('not_claimable', `The partnership is ${row.status}`, {
        members: { currentStatus: row.status },
      });
    return row as PartnershipDoc & { settlementCurrency: Currency };
  }

  return {
    addWithin,

    /** Makes a SKU with distribution on: both or neither. As `addSku` and `add`. */
    async addWithSku(
      account: string,
      input: NewSku,
      basePrice: Money | null,
    ): Promise<{ sku: SkuDoc; product: ProductDoc }> {
      const { sku: code } = input;
      return catalogue.making(
        account,
        input,
        async (session) => {
          const sku = await catalogue.addSkuWithin(session, account, input);
          return { sku, product: await addWithin(session, account, sku, { sku: code, basePrice }) };
        },
        async (sku) => ({
          sku,
          product: found(await models.products.findById(skuId(account, code)).lean(), `distribution product ${code}`),
        }),
      );
    },

    /**
     * Takes a product off the list again, in the transaction of an import's undo. False where somebody ever claimed it, or
     * where it is not as it was when it was added (disabled, priced, named by a visibility rule): then it stays.
     * 503 `unavailable` while it is being published: try again then.
     */
    async removeWithin(session: ClientSession, account: string, sku: string, why: string): Promise<boolean> {
      const _id = skuId(account, sku);
      const one = { supplier: account, sku };
      const isHeld =
        (await models.claims.exists({ supplier: account, supplierSku: sku }).session(session)) ??
        (await models.skuPrices.exists(one).session(session)) ??
        (await models.disabledProducts.exists(one).session(session)) ??
        (await models.visibilityRules.exists({ supplier: account, 'products.skus': sku }).session(session));
      if (isHeld) return false;
      if (await models.products.exists({ _id, basePrice: null, status: 'publishing' }).session(session))
        throw new HubError('unavailable', `${sku} is being published; its row is undone then`);
      // SKU prices, visibility rules and who disables for one distributor write the set-up, so they conflict with this.
      await models.suppliers.updateOne({ _id: account }, { $inc: { touched: 1 } }, { session });
      // A claim follows the SKU, so it conflicts with this.
      await models.skus.updateOne({ _id }, { $inc: { followers: 1 } }, { session });
      const row = await models.products
        .findOneAndDelete({ _id, basePrice: null, status: 'enabled' }, { session })
        .lean();
      if (!row) return false;
      const key = `${_id}/removed/${row.attempt}`;
      await log.write(session, { supplier: account, sku, what: 'disabled', who: account, why, key });
      return true;
    },

    /** Adds products to the distribution list: a result per row, good ones are added although others fail. */
    async add(
      account: string,
      rows: readonly { sku: string; basePrice: Money | null }[],
    ): Promise<RowResult<ProductDoc>[]> {
      const results: RowResult<ProductDoc>[] = [];
      for (const row of rows)
        try {
          results.push({ ok: true, value: await addOne(account, row) });
        } catch (error) {
          if (!isHubError(error)) throw error;
          results.push({ ok: false, code: error.code, detail: error.detail });
        }
      return results;
    },

    /** Bulk base price, a result per row. */
    async setBasePrices(
      account: string,
      rows: readonly { sku: string; basePrice: Money }[],
    ): Promise<RowResult<ProductDoc>[]> {
      return db.transact(async (session) => {
        const { baseCurrency } = await takeSetup(session, account);
        const results: RowResult<ProductDoc>[] = [];
        for (const { sku, basePrice } of rows) {
          if (basePrice.currency !== baseCurrency) {
            results.push({ ok: false, code: 'currency_mismatch', detail: wrongCurrency(baseCurrency) });
            continue;
          }
          const row = await models.products
            .findOneAndUpdate(
              { _id: skuId(account, sku) },
              { $set: { basePrice: basePrice.amount } },
              { session, returnDocument: 'after' },
            )
            .lean();
          results.push(
            row
              ? { ok: true, value: row }
              : { ok: false, code: 'not_found', detail: `${sku} is not a distribution product` },
          );
        }
        return results;
      }, `products/${account}`);
    },

    /** The last step of a publication: the product stands in the distributors' unclaimed lists. Safe to repeat. */
    publish(account: string, sku: string, attempt: number): Promise<ProductDoc> {
      return db.transact(async (session) => {
        const _id = skuId(account, sku);
        const row = await models.products
          .findOneAndUpdate(
            { _id, attempt, status: 'publishing' },
            { $set: { status: 'enabled' } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (row) {
          const key = `${_id}/enabled/${attempt}`;
          await log.write(session, { supplier: account, sku, what: 'enabled', who: account, why: null, key });
          // Only what was published before can be claimed.
          if (attempt > 1) await claims.raise(session, account);
        }
        await operations.end(
          session,
          processId('publication', { supplier: account, sku, attempt: String(attempt) }),
          'done',
          {},
        );
        return row ?? found(await models.products.findById(_id).session(session).lean(), 'distribution product');
      });
    },

    /**
     * Disables a product for everybody; again it answers with what there is. 409 `publish_in_progress`. The caller then
     * settles the claims it moves.
     */
    disable(account: string, sku: string, why: string | null): Promise<ProductDoc> {
      return db.transact(async (session) => {
        const _id = skuId(account, sku);
        const there = found(await models.products.findById(_id).session(session).lean(), `distribution product ${sku}`);
        refusePublishing(there);
        if (there.status === 'disabled') return there;
        await claims.raise(session, account);
        const row = await models.products
          .findByIdAndUpdate(_id, { $set: { status: 'disabled' } }, { session, returnDocument: 'after' })
          .lean();
        const key = `${_id}/disabled/${there.attempt}`;
        await log.write(session, { supplier: account, sku, what: 'disabled', who: account, why, key });
        return found(row, 'distribution product');
      });
    },

    /** Enables a disabled product: it is published again, by the workflow the caller starts. Again it answers with what there is. */
    enable(account: string, sku: string, why: string | null): Promise<ProductDoc> {
      return db.transact(async (session) => {
        const _id = skuId(account, sku);
        const row = await models.products
          .findOneAndUpdate(
            { _id, status: 'disabled' },
            { $set: { status: 'publishing' }, $inc: { attempt: 1 } },
            { session, returnDocument: 'after' },
          )
          .lean();
        if (!row)
          return found(await models.products.findById(_id).session(session).lean(), `distribution product ${sku}`);
        const key = `${_id}/enabled/${row.attempt}`;
        await log.write(session, { supplier: account, sku, what: 'enabled', who: account, why, key });
        return row;
      });
    },

    /**
     * Disables or enables a product for one distributor, named by partnership (also by one that ended) or account; it holds
     * for the partnership there is, and for their next. 409 `publish_in_progress`. @returns the distributor, and the lanes to wake
     */
    async switchFor(
      account: string,
      sku: string,
      distributor: string,
      to: { enabled: boolean; why: string | null },
    ): Promise<{ distributor: string; lanes: string[] }> {
      const partnership = await offering.partnershipOf(account, distributor);
      return db.transact(async (session) => {
        const _id = disabledForId(account, sku, partnership.distributor);
        const row = found(
          await models.products.findById(skuId(account, sku)).session(session).lean(),
          `distribution product ${sku}`,
        );
        if (!to.enabled) refusePublishing(row);
        const answer = { distributor: partnership.distributor, lanes: [] as string[] };
        const isDisabled = (await models.disabledProducts.findById(_id).session(session).lean()) !== null;
        if (isDisabled !== to.enabled) return answer;
        // Written, so that this conflicts with taking the product off the list.
        await models.suppliers.updateOne({ _id: account }, { $inc: { touched: 1 } }, { session });
        if (to.enabled) await models.disabledProducts.deleteOne({ _id }, { session });
        else
          await models.disabledProducts.create(
            [{ _id, supplier: account, sku, distributor: partnership.distributor, at: now() }],
            { session },
          );
        const { distributor: who } = partnership;
        const all = await models.partnerships
          .find({ supplier: account, distributor: who }, { open: 1 })
          .session(session)
          .lean();
        const { _id: held } = all.find(({ open }) => open) ?? partnership;
        const what = to.enabled ? 'enabled' : 'disabled';
        await log.write(session, {
          ...{ supplier: account, sku, what, who: account, why: to.why, distributor: partnership.distributor },
          key: `${_id}/${what}/${newId('command')}`,
        });
        return { ...answer, lanes: await claims.reconsider(session, held, `product ${what}`) };
      });
    },

    /** Products whose publication started before the given time and has not ended. */
    async publishing(before: Date, limit: number): Promise<ProductDoc[]> {
      return models.products
        .find({ status: 'publishing', createdAt: { $lt: before } })
        .limit(limit)
        .lean();
    },

    async product(account: string, sku: string): Promise<ProductDoc> {
      return found(await models.products.findById(skuId(account, sku)).lean(), `distribution product ${sku}`);
    },

    async products(account: string, page: PageRequest): Promise<Page<ProductDoc>> {
      const rows = await models.products
        .find({ supplier: account, ...(page.after === null ? {} : { sku: { $gt: page.after } }) })
        .sort({ sku: 1 })
        .limit(page.limit + 1)
        .lean();
      return toPage(rows, page.limit, ({ sku }) => sku);
    },

    /** Newest first. */
    productLog: (account: string, sku: string, page: PageRequest) => log.list(account, sku, page),

    /** Units on pushed packages that are neither cancelled nor recalled, by push time, over each window. */
    async sales(account: string, sku: string): Promise<ProductSales[]> {
      const at = now().getTime();
      const sold = { supplier: account, 'lines.supplierSku': sku, status: { $in: [...SOLD] } };
      const since = (days: number) => new Date(at - days * DAY_MS);
      const longest = Math.max(...SALES_WINDOWS_DAYS);
      const [first, sums] = await Promise.all([
        models.packages
          .findOne({ ...sold, pushedAt: { $ne: null } }, { pushedAt: 1 })
          .sort({ pushedAt: 1 })
          .lean(),
        models.packages.aggregate<Record<string, number>>([
          { $match: { ...sold, pushedAt: { $gte: since(longest) } } },
          { $unwind: '$lines' },
          { $match: { 'lines.supplierSku': sku } },
          {
            $group: {
              _id: null,
              ...Object.fromEntries(
                SALES_WINDOWS_DAYS.map((days) => [
                  `days${days}`,
                  { $sum: { $cond: [{ $gte: ['$pushedAt', since(days)] }, '$lines.quantity', 0] } },
                ]),
              ),
            },
          },
        ]),
      ]);
      const sinceFirst = first?.pushedAt ? at - first.pushedAt.getTime() : null;
      return SALES_WINDOWS_DAYS.map((days) => {
        const units = sums[0]?.[`days${days}`] ?? 0;
        return { days, units, dailyAverage: dailyAverage(units, days, sinceFirst) };
      });
    },

    /** What a partnered distributor sees: enabled and priced, with price and stock of the warehouses they were given. */
    async visible(
      distributor: string,
      partnership: string,
      filter: { claimed?: boolean },
      page: PageRequest,
    ): Promise<Page<VisibleProduct>> {
      const row = await partnered(distributor, partnership);
      const setup = await supplierOf(row.supplier);
      const claimRows = await models.claims.find({ partnership, stopped: false }).lean();
      // All of them, since what is shown depends on more than a query can say; there are at most 200.
      const all: ProductDoc[] = await models.products.find({ supplier: row.supplier }).sort({ sku: 1 }).lean();
      const offers = new Map(
        (await offering.offers(null, row, setup, all)).map((offer) => [offer.product.sku, offer] as const),
      );
      const claimed = new Set(claimRows.map(({ supplierSku }) => supplierSku));
      // A claimed product stays in the list whatever became of it; an unclaimed one must be enabled, visible and priced.
      const isShown = ({ sku, status }: ProductDoc) =>
        claimed.has(sku)
          ? filter.claimed !== false
          : filter.claimed !== true && status === 'enabled' && isOffered(offers.get(sku));
      const { items, nextCursor } = pageOf(all.filter(isShown), page, ({ sku }) => sku);
      const skus = items.map(({ sku }) => sku);
      const [names, levels] = await Promise.all([
        models.skus.find({ account: row.supplier, sku: { $in: skus } }, { sku: 1, name: 1 }).lean(),
        models.stock.find({ account: row.supplier, sku: { $in: skus }, warehouse: { $in: row.warehouses } }).lean(),
      ]);
      const rows = items.map((product): VisibleProduct => {
        const claim = claimRows.find(({ supplierSku }) => supplierSku === product.sku) ?? null;
        const current = offers.get(product.sku)?.price;
        const shown = claim ? claim.shownPrice : current?.ok ? current.price.amount : null;
        return {
          sku: product.sku,
          name: names.find(({ sku }) => sku === product.sku)?.name ?? '',
          price: shown === null ? null : money(shown, row.settlementCurrency),
          waitingPrice: current?.ok && shown !== null && current.price.amount !== shown ? current.price : null,
          available:
            claim !== null && claim.causes.length > 0
              ? 0
              : levels.filter(({ sku }) => sku === product.sku).reduce((sum, level) => sum + level.available, 0),
          claim,
        };
      });
      return { items: rows, nextCursor };
    },
  };
}
