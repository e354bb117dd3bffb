/** What a push would send, without sending: from the same facts and by the same decision as the lanes. */
import { planExcludes } from '../../domain/accounts';
import {
  chooseRule,
  decideQuantity,
  type PassedOver,
  type PushRule,
  passedOver,
  type QuantityDecision,
  type SkuFacts,
  type StoreCapabilities,
} from '../../domain/push-rules';
import { type Database, found, type Page, type PageRequest, toPage } from '../database';
import type { ListingDoc, StoreDoc } from '../models/documents';
import { createPreOrderRepository, preOrderId } from './pre-orders';
import { createPushFacts } from './push-facts';
import { createPushRuleRepository } from './push-rules';

export interface PreviewedStore {
  readonly store: StoreDoc;
  /** Null where the rule names the store and nothing of the SKU is listed there. */
  readonly listing: ListingDoc | null;
  readonly decision:
    | QuantityDecision
    | { readonly kind: 'skip'; readonly reason: 'plan_excluded' | 'platform_not_configured' };
  readonly wasInPreOrder: boolean;
}

export interface Preview {
  readonly sku: string;
  readonly facts: SkuFacts;
  readonly rule: PushRule | null;
  readonly passedOver: readonly PassedOver[];
  readonly stores: readonly PreviewedStore[];
}

export interface AssumedStock {
  readonly available?: number | undefined;
  readonly inTransit?: number | undefined;
}

/** What a platform can do; null for one without a connector, to which nothing is sent. */
export type CapabilitiesOf = (platform: string) => StoreCapabilities | null;

/** SKUs that are read at once for a file. */
const CHUNK = 500;

export function createPushPreviewRepository(db: Database) {
  const { models } = db;
  const facts = createPushFacts(db);
  const rules = createPushRuleRepository(db);
  const preOrders = createPreOrderRepository(db);

  /** All of it in the rule's first warehouse: only the sum counts. */
  function assuming(known: SkuFacts, rule: PushRule | null, assumed: AssumedStock): SkuFacts {
    const { available, inTransit } = assumed;
    if (rule === null || (available === undefined && inTransit === undefined)) return known;
    const stored = rule.warehouses.map((warehouse) => known.levels.get(warehouse) ?? { available: 0, inTransit: 0 });
    const level = {
      available: available ?? stored.reduce((sum, one) => sum + one.available, 0),
      inTransit: inTransit ?? stored.reduce((sum, one) => sum + one.inTransit, 0),
    };
    return { ...known, levels: new Map([[rule.warehouses[0] ?? '', level]]) };
  }

  async function previewAll(
    account: string,
    skus: readonly string[],
    capabilitiesOf: CapabilitiesOf,
    assumed: AssumedStock = {},
  ): Promise<Preview[]> {
    const { plan, ruleTurns } = found(await models.accounts.findById(account).lean(), 'account');
    const [{ rules: all }, known, listings, stores] = await Promise.all([
      rules.rulesAt(account, ruleTurns ?? 0),
      facts.skuFacts(account, skus, true),
      // The deleted ones are left out here, not by the filter: the embedded engine's index would not serve it (ADR 4).
      models.listings.find({ account, sku: { $in: [...skus] } }).lean(),
      models.stores.find({ account, status: { $ne: 'disconnected' } }).lean(),
    ]);
    const states = await preOrders.states(
      stores.map(({ _id }) => _id),
      skus,
    );
    const bySku = new Map<string, ListingDoc[]>();
    for (const listing of listings) {
      if (listing.status === 'deleted') continue;
      const sku = listing.sku ?? '';
      bySku.set(sku, [...(bySku.get(sku) ?? []), listing]);
    }
    return skus.flatMap((sku): Preview[] => {
      const stored = known.get(sku);
      if (!stored) return [];
      const rule = chooseRule(all, stored);
      const about = assuming(stored, rule, assumed);
      const rows = stores.flatMap((store): PreviewedStore[] => {
        const own = (bySku.get(sku) ?? []).filter((listing) => listing.store === store._id);
        const wanted: (ListingDoc | null)[] = own.length > 0 ? own : rule?.stores.includes(store._id) ? [null] : [];
        const isOn = (id: string) => states.has(preOrderId(id, store._id, sku));
        const can = capabilitiesOf(store.platform);
        const leftOut = planExcludes(plan, store.platform) ? 'plan_excluded' : 'platform_not_configured';
        return wanted.map((listing) => ({
          store,
          listing,
          wasInPreOrder: rule !== null && isOn(rule.id),
          decision:
            leftOut === 'plan_excluded' || can === null
              ? { kind: 'skip', reason: leftOut }
              : decideQuantity({
                  rules: all,
                  sku: about,
                  store: store._id,
                  can,
                  automatic: listing?.automatic ?? true,
                  forced: false,
                  wasInPreOrder: isOn,
                }),
        }));
      });
      return [{ sku, facts: about, rule, passedOver: passedOver(all, stored), stores: rows }];
    });
  }

  async function codes(account: string, after: string | null, limit: number): Promise<string[]> {
    const rows = await models.skus
      .find({ account, ...(after === null ? {} : { sku: { $gt: after } }) }, { sku: 1 })
      .sort({ sku: 1 })
      .limit(limit)
      .lean();
    return rows.map(({ sku }) => sku);
  }

  return {
    /** One SKU, at its stored stock or an assumed one. 404 */
    async one(account: string, sku: string, capabilitiesOf: CapabilitiesOf, assumed: AssumedStock): Promise<Preview> {
      found(await models.skus.findById(`${account}/${sku}`, { _id: 1 }).lean(), `SKU ${sku}`);
      const [preview] = await previewAll(account, [sku], capabilitiesOf, assumed);
      return found(preview, `SKU ${sku}`);
    },

    /** All SKUs by code, a page at a time. */
    async page(account: string, page: PageRequest, capabilitiesOf: CapabilitiesOf): Promise<Page<Preview>> {
      const { items, nextCursor } = toPage(await codes(account, page.after, page.limit + 1), page.limit, (sku) => sku);
      return { items: await previewAll(account, items, capabilitiesOf), nextCursor };
    },

    /** All SKUs by code, a piece at a time. */
    async *all(account: string, capabilitiesOf: CapabilitiesOf): AsyncGenerator<Preview> {
      for (let after: string | null = null; ; ) {
        const chunk: string[] = await codes(account, after, CHUNK);
        yield* await previewAll(account, chunk, capabilitiesOf);
        if (chunk.length < CHUNK) return;
        after = chunk.at(-1) ?? null;
      }
    },
  };
}
