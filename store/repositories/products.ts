/** Distribution products, what distributors see of them, claims and prices. Contract: catalogue.md. */
import type { ClientSession } from 'mongoose';
import { type FailureCode, HubError, isHubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { type Currency, type Money, money } from '../../domain/money';
import { DISTRIBUTION_PRODUCT_LIMIT } from '../../domain/partnership';
import { processId } from '../../domain/process-ids';
import { type Database, found, isDuplicateKey, type Page, type PageRequest, toPage } from '../database';
import type { ClaimDoc, PartnershipDoc, ProductDoc, SkuDoc, SupplierDoc } from '../models/documents';
import { skuId } from './catalogue';
import { createOperationRepository } from './operations';
import { createPriceRepository } from './prices';
import { createStockRepository, stockId } from './stock';

/** What one row of a bulk request came to. */
export type RowResult<T> =
  | { readonly ok: true; readonly value: T }
  | { readonly ok: false; readonly code: FailureCode; readonly detail: string };

export interface VisibleProduct {
  readonly sku: string;
  readonly name: string;
  readonly price: Money | null;
  /** Set where the next order will be billed another price than the one shown. */
  readonly waitingPrice: Money | null;
  /** Units available over the warehouses the distributor was given. */
  readonly available: number;
  readonly claim: ClaimDoc | null;
}

export type ProductRepository = ReturnType<typeof createProductRepository>;

export function createProductRepository(db: Database) {
  const { models, now } = db;
  const stock = createStockRepository(db);
  const operations = createOperationRepository(db);
  const pricing = createPriceRepository(db);

  async function supplierOf(account: string): Promise<SupplierDoc> {
    return found(await models.suppliers.findById(account).lean(), 'Distribution set-up; activate it first');
  }

  async function addOne(account: string, input: { sku: string; basePrice: Money | null }): Promise<ProductDoc> {
    const setup = await supplierOf(account);
    const entry = found(await models.skus.findById(skuId(account, input.sku)).lean(), `SKU ${input.sku}`);
    return db.transact((session) => addWithin(session, setup, entry, input), `products/${account}`);
  }

  /**
   * Adds a product in the transaction of whoever makes, or finds, its SKU. What is there already is answered as it is.
   * @param planned products that the caller counts in besides those that are there
   */
  async function addWithin(
    session: ClientSession,
    setup: SupplierDoc,
    entry: Pick<SkuDoc, 'sku' | 'kind' | 'mirror'>,
    input: { sku: string; basePrice: Money | null },
    planned = 0,
  ): Promise<ProductDoc> {
    const account = setup._id;
    if (entry.kind === 'combination')
      throw new HubError('combination_not_supported', `${input.sku} is a combination SKU`);
    if (entry.mirror) throw new HubError('sub_distribution_not_allowed', `${input.sku} comes from a supplier itself`);
    if (input.basePrice && input.basePrice.currency !== setup.baseCurrency)
      throw new HubError(
        'currency_mismatch',
        `Base prices are in ${setup.baseCurrency ?? 'the base currency, which is not set yet'}`,
      );
    const _id = skuId(account, input.sku);
    const there = await models.products.findById(_id).session(session).lean();
    if (there) return there;
    // The set-up row is written so that two additions at the limit conflict instead of both passing the count.
    await models.suppliers.updateOne({ _id: account }, { $inc: { touched: 1 } }, { session });
    const count = await models.products.countDocuments({ supplier: account }).session(session);
    if (count + planned >= DISTRIBUTION_PRODUCT_LIMIT)
      throw new HubError('distribution_product_limit', `There are ${DISTRIBUTION_PRODUCT_LIMIT} already`);
    // The SKU is written so that this conflicts with its removal.
    await models.skus.updateOne({ _id }, { $inc: { followers: 1 } }, { session });
    const before = await models.productLog
      .countDocuments({ supplier: account, sku: input.sku, what: 'added' })
      .session(session);
    const row: ProductDoc = {
      _id,
      supplier: account,
      sku: input.sku,
      status: 'publishing',
      // A product that an import's undo took away and that comes again is published anew.
      attempt: before + 1,
      basePrice: input.basePrice?.amount ?? null,
      createdAt: now(),
    };
    await models.products.create([row], { session });
    await log(session, {
      supplier: account,
      sku: input.sku,
      what: 'added',
      who: account,
      why: null,
      key: before === 0 ? `${_id}/added` : `${_id}/added/${before + 1}`,
    });
    return row;
  }

  async function log(
    session: ClientSession,
    input: {
      supplier: string;
      sku: string;
      what: 'added' | 'enabled' | 'disabled' | 'claimed' | 'stopped';
      who: string;
      why: string | null;
      key: string;
    },
  ): Promise<void> {
    const { key, ...row } = input;
    await models.productLog.collection.updateOne(
      { _id: key } as never,
      { $setOnInsert: { ...row, at: now() } },
      { upsert: true, session },
    );
  }

  async function partnered(
    distributor: string,
    partnership: string,
  ): Promise<PartnershipDoc & { settlementCurrency: Currency }> {
    const row = found(await models.partnerships.findOne({ _id: partnership, distributor }).lean(), 'partnership');
    if (row.status !== 'partnered' || row.settlementCurrency === null)
      throw new HubError('not_claimable', `The partnership is ${row.status}`, { members: { status: row.status } });
    return row as PartnershipDoc & { settlementCurrency: Currency };
  }

  return {
    addWithin,

    /**
     * Takes a product off the list again, in the transaction of an import's undo. False where somebody ever claimed it, or
     * where it is not as it was when it was added: then it stays.
     */
    async removeWithin(session: ClientSession, account: string, sku: string, why: string): Promise<boolean> {
      const _id = skuId(account, sku);
      if (await models.claims.exists({ supplier: account, supplierSku: sku }).session(session)) return false;
      // A claim follows the SKU, so it conflicts with this.
      await models.skus.updateOne({ _id }, { $inc: { followers: 1 } }, { session });
      const row = await models.products
        .findOneAndDelete({ _id, basePrice: null, status: { $ne: 'publishing' } }, { session })
        .lean();
      if (!row) return false;
      await log(session, {
        supplier: account,
        sku,
        what: 'disabled',
        who: account,
        why,
        key: `${_id}/removed/${row.attempt}`,
      });
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
      const setup = await supplierOf(account);
      return Promise.all(
        rows.map(async ({ sku, basePrice }): Promise<RowResult<ProductDoc>> => {
          if (basePrice.currency !== setup.baseCurrency)
            return { ok: false, code: 'currency_mismatch', detail: `Base prices are in ${setup.baseCurrency}` };
          const row = await models.products
            .findOneAndUpdate(
              { _id: skuId(account, sku) },
              { $set: { basePrice: basePrice.amount } },
              { returnDocument: 'after' },
            )
            .lean();
          return row
            ? { ok: true, value: row }
            : { ok: false, code: 'not_found', detail: `${sku} is not a distribution product` };
        }),
      );
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
        if (row)
          await log(session, {
            supplier: account,
            sku,
            what: 'enabled',
            who: account,
            why: null,
            key: `${_id}/enabled/${attempt}`,
          });
        await operations.end(
          session,
          processId('publication', { supplier: account, sku, attempt: String(attempt) }),
          'done',
          {},
        );
        return row ?? found(await models.products.findById(_id).session(session).lean(), 'distribution product');
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

    async productLog(account: string, sku: string) {
      return models.productLog.find({ supplier: account, sku }).sort({ at: -1 }).limit(200).lean();
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
      const claims = await models.claims.find({ partnership, stopped: false }).lean();
      // All of them, since what is shown depends on more than a query can say; there are at most 200.
      const all: ProductDoc[] = await models.products.find({ supplier: row.supplier }).sort({ sku: 1 }).lean();
      const terms = { supplier: setup, level: row.level, settlementCurrency: row.settlementCurrency };
      const prices = await pricing.prices(null, terms, all);
      const claimed = new Set(claims.map(({ supplierSku }) => supplierSku));
      // A claimed product stays in the list whatever became of it; an unclaimed one must be enabled and priced.
      const isShown = ({ sku, status }: ProductDoc) =>
        claimed.has(sku)
          ? filter.claimed !== false
          : filter.claimed !== true && status === 'enabled' && prices.get(sku)?.ok === true;
      const products = all
        .filter((product) => (page.after === null || product.sku > page.after) && isShown(product))
        .slice(0, page.limit + 1);
      const skus = products.map(({ sku }) => sku);
      const [names, levels] = await Promise.all([
        models.skus.find({ account: row.supplier, sku: { $in: skus } }, { sku: 1, name: 1 }).lean(),
        models.stock.find({ account: row.supplier, sku: { $in: skus }, warehouse: { $in: row.warehouses } }).lean(),
      ]);
      const rows = products.map((product): VisibleProduct => {
        const claim = claims.find(({ supplierSku }) => supplierSku === product.sku) ?? null;
        const current = prices.get(product.sku);
        const shown = claim ? claim.shownPrice : current?.ok ? current.price.amount : null;
        return {
          sku: product.sku,
          name: names.find(({ sku }) => sku === product.sku)?.name ?? '',
          price: shown === null ? null : money(shown, row.settlementCurrency),
          waitingPrice: current?.ok && shown !== null && current.price.amount !== shown ? current.price : null,
          available: levels.filter(({ sku }) => sku === product.sku).reduce((sum, level) => sum + level.available, 0),
          claim,
        };
      });
      return toPage(rows, page.limit, ({ sku }) => sku);
    },

    /**
     * Claims a product: makes the distributor's merchant SKU, the mapping, and stock in each of their supplier warehouses.
     * Again it answers with the claim there is. 409 `sku_taken`, `not_claimable`.
     * @returns the claim and the lanes to wake
     */
    async claim(
      distributor: string,
      partnership: string,
      input: { sku: string; as: string | null },
    ): Promise<{ claim: ClaimDoc; lanes: string[] }> {
      const row = await partnered(distributor, partnership);
      const setup = await supplierOf(row.supplier);
      const code = input.as ?? input.sku;
      const claimId = `${partnership}/${input.sku}`;
      try {
        return await db.transact(async (session) => {
          const there = await models.claims.findById(claimId).session(session).lean();
          if (there && !there.stopped) {
            if (there.sku !== code && input.as !== null)
              throw new HubError('already_claimed', `It is claimed as ${there.sku}`, { members: { sku: there.sku } });
            return { claim: there, lanes: [] };
          }
          const product = found(
            await models.products.findById(skuId(row.supplier, input.sku)).session(session).lean(),
            `distribution product ${input.sku}`,
          );
          if (product.status !== 'enabled') throw new HubError('not_claimable', `The product is ${product.status}`);
          const terms = { supplier: setup, level: row.level, settlementCurrency: row.settlementCurrency };
          const price = (await pricing.prices(session, terms, [product])).get(product.sku);
          if (!price?.ok)
            throw new HubError('not_claimable', `There is no price: ${price?.reason}`, {
              members: { reason: price?.reason },
            });
          const supplierEntry = found(
            await models.skus.findById(skuId(row.supplier, input.sku)).session(session).lean(),
            'SKU',
          );
          const source = { partnership, supplier: row.supplier, supplierSku: input.sku };
          await models.skus.create(
            [
              {
                _id: skuId(distributor, code),
                account: distributor,
                sku: code,
                name: supplierEntry.name,
                kind: 'single',
                components: [],
                mirror: source,
                followers: 0,
                command: null,
                createdAt: now(),
              },
            ],
            { session },
          );
          const claim: ClaimDoc = {
            _id: claimId,
            partnership,
            supplier: row.supplier,
            distributor,
            supplierSku: input.sku,
            sku: code,
            stopped: false,
            causes: [],
            inactiveSince: null,
            shownPrice: price.price.amount,
            billedPrice: null,
            claimedAt: now(),
          };
          await models.claims.replaceOne({ _id: claimId }, claim, { upsert: true, session });
          const places = await models.warehouses
            .find({ account: distributor, 'source.partnership': partnership })
            .session(session)
            .lean();
          await models.stock.insertMany(
            places.map(({ _id }) => ({
              _id: stockId(_id, code),
              account: distributor,
              warehouse: _id,
              sku: code,
              onHand: 0,
              allocated: 0,
              reserved: 0,
              inTransit: 0,
              available: 0,
              mirrored: true,
              followers: 0,
            })),
            { session },
          );
          await log(session, {
            supplier: row.supplier,
            sku: input.sku,
            what: 'claimed',
            who: distributor,
            why: null,
            key: `${claimId}/claimed/${newId('command')}`,
          });
          await stock.follow(session, row.supplier, [input.sku]);
          // Its own mirror fills the new stock rows; the supplier's other listeners need not hear.
          const subjects = await stock.subjectsOf(session, row.supplier, [input.sku]);
          const own = subjects.filter(({ account, subject }) => account === distributor && subject === input.sku);
          return { claim, lanes: await stock.markSubjects(session, own, `claim ${claimId}`) };
        });
      } catch (error) {
        if (!isDuplicateKey(error)) throw error;
        const there = await models.claims.findById(claimId).lean();
        if (there && !there.stopped && there.sku === code) return { claim: there, lanes: [] };
        throw new HubError('sku_taken', `You have a SKU ${code} already; choose another with "as"`, { cause: error });
      }
    },

    async claims(distributor: string, partnership: string): Promise<ClaimDoc[]> {
      return models.claims.find({ distributor, partnership }).lean();
    },
  };
}
