/**
 * What a supplier's products are to one distributor: price, visibility, whether disabled for them. The list they see, the
 * claim, the causes of claims and the explanations are all made from this. Contract: catalogue.md, Claims, Visibility rules.
 */
import type { ClientSession } from 'mongoose';
import { DELETED_STATUSES } from '../../domain/partnership';
import { NO_PRICE, type PriceDecision } from '../../domain/pricing';
import {
  decideVisibility,
  type UnseenCause,
  type VisibilityDecision,
  type VisibilityRule,
  whyUnseen,
} from '../../domain/visibility';
import { type Database, found } from '../database';
import type { ClaimDoc, PartnershipDoc, ProductDoc, SupplierDoc } from '../models/documents';
import { skuId } from './catalogue';
import { createPriceRepository } from './prices';

export interface Offer {
  readonly product: ProductDoc;
  readonly price: PriceDecision;
  readonly visibility: VisibilityDecision;
  readonly disabledFor: boolean;
}

/** Why (or that) one distributor sees one product. */
export interface ExplainedOffer extends Offer {
  readonly partnership: PartnershipDoc;
  readonly causes: readonly UnseenCause[];
  readonly claim: ClaimDoc | null;
  readonly warehouses: readonly { readonly id: string; readonly name: string; readonly available: number }[];
}

export const disabledForId = (supplier: string, sku: string, distributor: string) =>
  `${skuId(supplier, sku)}|${distributor}`;

export function createOfferRepository(db: Database) {
  const { models } = db;
  const pricing = createPriceRepository(db);

  /** A supplier's enabled rules; at most 100. */
  async function rulesOf(session: ClientSession | null, supplier: string): Promise<VisibilityRule[]> {
    const rows = await models.visibilityRules.find({ supplier, enabled: true }).session(session).lean();
    return rows.map(({ _id: id, number, enabled, kind, products, distributors }) => ({
      ...{ id, number, enabled, kind, products, distributors },
    }));
  }

  /** The SKUs among these that are disabled for the distributor. */
  async function disabledAmong(
    session: ClientSession | null,
    { supplier, distributor }: PartnershipDoc,
  ): Promise<Set<string>> {
    const rows = await models.disabledProducts.find({ supplier, distributor }, { sku: 1 }).session(session).lean();
    return new Set(rows.map(({ sku }) => sku));
  }

  /** What these products are to the distributor now, in the order given. */
  async function offers(
    session: ClientSession | null,
    partnership: PartnershipDoc,
    supplier: SupplierDoc,
    products: readonly ProductDoc[],
  ): Promise<Offer[]> {
    // Before terms are agreed on, a price can only be that in the base currency.
    const settlementCurrency = partnership.settlementCurrency ?? supplier.baseCurrency;
    const terms = { supplier, level: partnership.level };
    const prices =
      settlementCurrency === null ? null : await pricing.prices(session, { ...terms, settlementCurrency }, products);
    const rules = await rulesOf(session, supplier._id);
    const disabled = await disabledAmong(session, partnership);
    const who = { id: partnership.distributor, level: partnership.level };
    return products.map((product) => ({
      product,
      price: prices?.get(product.sku) ?? { ok: false, ...NO_PRICE, steps: [] },
      visibility: decideVisibility(rules, who, product.sku),
      disabledFor: disabled.has(product.sku),
    }));
  }

  /**
   * A supplier's partner by the id of the partnership, or of the account: then the open partnership, else the last. Deleted
   * ones are seen by nobody.
   */
  async function partnershipOf(supplier: string, distributor: string): Promise<PartnershipDoc> {
    const [row] = await models.partnerships
      .find({ supplier, status: { $nin: [...DELETED_STATUSES] }, $or: [{ _id: distributor }, { distributor }] })
      .sort({ open: -1, _id: -1 })
      .limit(1)
      .lean();
    return found(row, 'distributor');
  }

  /** Explains for one distributor each of the products given. */
  async function explain(partnership: PartnershipDoc, products: readonly ProductDoc[]): Promise<ExplainedOffer[]> {
    const { supplier } = partnership;
    const skus = products.map(({ sku }) => sku);
    const setup = found(await models.suppliers.findById(supplier).lean(), 'Distribution set-up');
    const [all, claims, places, levels] = await Promise.all([
      offers(null, partnership, setup, products),
      models.claims.find({ partnership: partnership._id, supplierSku: { $in: skus } }).lean(),
      models.warehouses
        .find({ account: supplier, _id: { $in: partnership.warehouses } })
        .sort({ _id: 1 })
        .lean(),
      models.stock.find({ account: supplier, sku: { $in: skus }, warehouse: { $in: partnership.warehouses } }).lean(),
    ]);
    return all.map((offer) => ({
      ...offer,
      partnership,
      claim: claims.find(({ supplierSku }) => supplierSku === offer.product.sku) ?? null,
      warehouses: places.map(({ _id, name }) => ({
        id: _id,
        name,
        available: levels.find((row) => row.warehouse === _id && row.sku === offer.product.sku)?.available ?? 0,
      })),
      causes: whyUnseen({
        partnership: partnership.status,
        product: offer.product.status,
        disabledFor: offer.disabledFor,
        warehouses: places.length,
        missing: offer.price.ok ? [] : offer.price.missing,
        visibility: offer.visibility,
      }),
    }));
  }

  return {
    offers,
    rulesOf,
    disabledAmong,
    partnershipOf,

    /** Why a distributor sees a product or not: every cause that holds. 404 for what is not the supplier's. */
    async explainOne(supplier: string, distributor: string, sku: string): Promise<ExplainedOffer> {
      const partnership = await partnershipOf(supplier, distributor);
      const product = found(await models.products.findById(skuId(supplier, sku)).lean(), `distribution product ${sku}`);
      const [explained] = await explain(partnership, [product]);
      return found(explained, 'distribution product');
    },

    /** The same of all products; there are at most 200. */
    async explainAll(supplier: string, distributor: string): Promise<ExplainedOffer[]> {
      const partnership = await partnershipOf(supplier, distributor);
      return explain(partnership, await models.products.find({ supplier }).sort({ sku: 1 }).lean());
    },
  };
}
