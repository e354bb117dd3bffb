/** What quantities are decided from, as stored now: for the lanes and for the preview alike. */
import type { PushRule, SkuFacts, StockLevel } from '../../domain/push-rules';
import { availableSets } from '../../domain/stock';
import type { Database } from '../database';
import type { SkuDoc } from '../models/documents';

type Levels = Map<string, Map<string, StockLevel>>;
const NONE: StockLevel = { available: 0, inTransit: 0 };

/** Whole sets that the parts allow in each warehouse; in transit is what more they allow once it has come. */
function setsOf(components: SkuDoc['components'], singles: Levels): Map<string, StockLevel> {
  const warehouses = new Set(components.flatMap(({ sku }) => [...(singles.get(sku)?.keys() ?? [])]));
  return new Map(
    [...warehouses].map((warehouse) => {
      const levelOf = (part: string) => singles.get(part)?.get(warehouse) ?? NONE;
      const available = availableSets(components, (part) => levelOf(part).available);
      const later = availableSets(components, (part) => levelOf(part).available + levelOf(part).inTransit);
      return [warehouse, { available, inTransit: later - available }];
    }),
  );
}

export type PushFacts = ReturnType<typeof createPushFacts>;

export function createPushFacts({ models }: Database) {
  /** By SKU: false where it is claimed and no claim on it counts. Missing for own SKUs. */
  async function claimsOf(
    account: string,
    entries: readonly Pick<SkuDoc, 'sku' | 'components' | 'mirror'>[],
    parts: readonly string[],
  ) {
    const mirroredParts =
      parts.length === 0
        ? []
        : await models.skus.find({ account, sku: { $in: [...parts] } }, { sku: 1, mirror: 1 }).lean();
    const mirrored = [
      ...entries.flatMap(({ sku, mirror }) => (mirror ? [sku] : [])),
      ...mirroredParts.flatMap(({ sku, mirror }) => (mirror ? [sku] : [])),
    ];
    const claims =
      mirrored.length === 0
        ? []
        : await models.claims
            .find({ distributor: account, sku: { $in: mirrored } }, { sku: 1, stopped: 1, causes: 1 })
            .lean();
    // Judged here, not by the filter: the embedded engine's index would not serve it (ADR 4).
    const counting = new Set(claims.flatMap(({ sku, stopped, causes }) => (stopped || causes.length > 0 ? [] : [sku])));
    const active = new Map(mirrored.map((sku) => [sku, counting.has(sku)]));
    // A set is sold only while all its claimed parts are.
    for (const { sku, components } of entries)
      if (components.some((part) => active.get(part.sku) === false)) active.set(sku, false);
    return active;
  }

  async function levelsOf(account: string, skus: readonly string[]): Promise<Levels> {
    const rows = await models.stock
      .find({ account, sku: { $in: [...skus] } }, { sku: 1, warehouse: 1, available: 1, inTransit: 1 })
      .lean();
    const levels: Levels = new Map();
    for (const { sku, warehouse, available, inTransit } of rows) {
      const places = levels.get(sku) ?? new Map<string, StockLevel>();
      levels.set(sku, places.set(warehouse, { available, inTransit }));
    }
    return levels;
  }

  /** Stores that sell each SKU. */
  async function mappedIn(account: string, skus: readonly string[]): Promise<Map<string, Set<string>>> {
    const rows = await models.listings
      .find({ account, sku: { $in: [...skus] } }, { sku: 1, store: 1, status: 1 })
      .lean();
    const stores = new Map<string, Set<string>>();
    for (const { sku, store, status } of rows)
      if (sku !== null && status !== 'deleted') stores.set(sku, (stores.get(sku) ?? new Set<string>()).add(store));
    return stores;
  }

  return {
    /**
     * By SKU; one that is not there is without stock.
     * @param isMapped which stores sell it is asked for, too: where a rule holds the SKUs of some stores
     */
    async skuFacts(account: string, codes: readonly string[], isMapped: boolean): Promise<Map<string, SkuFacts>> {
      const entries = await models.skus
        .find({ account, sku: { $in: [...codes] } }, { sku: 1, kind: 1, components: 1, mirror: 1, category: 1 })
        .lean();
      const parts = entries.flatMap(({ components }) => components.map(({ sku }) => sku));
      const [levels, active, mapped] = await Promise.all([
        levelsOf(account, [...codes, ...parts]),
        claimsOf(account, entries, parts),
        isMapped ? mappedIn(account, codes) : new Map<string, Set<string>>(),
      ]);
      const known = new Map(entries.map((entry) => [entry.sku, entry]));
      return new Map(
        codes.map((sku): [string, SkuFacts] => {
          const entry = known.get(sku);
          const own = entry?.kind === 'combination' ? setsOf(entry.components, levels) : levels.get(sku);
          return [
            sku,
            {
              sku,
              category: entry?.category ?? null,
              mappedIn: mapped.get(sku) ?? new Set(),
              levels: own ?? new Map(),
              active: active.get(sku) ?? true,
            },
          ];
        }),
      );
    },
  };
}

/** Whether which stores sell a SKU matters to these rules. */
export const needMapping = (rules: readonly Pick<PushRule, 'skus'>[]): boolean =>
  rules.some(({ skus }) => skus.kind === 'stores');
