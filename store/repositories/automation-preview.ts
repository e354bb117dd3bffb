/** What rules would do to the orders that are open now. Changes nothing. Contract: http-api.md, dryRun. */
import {
  type AutomationKind,
  type AutomationSettings,
  autoMoves,
  chooseCarrier,
  choosePacking,
  chooseWarehouse,
  followedTo,
  giftsOf,
  isGiftLine,
  marksOf,
  recallInTheWay,
} from '../../domain/automation';
import { type PackageStatus, supplierArrangesCarrier } from '../../domain/orders';
import { UNSHIPPED_STATUSES } from '../../domain/supply-orders';
import type { Database } from '../database';
import type { GiftDoc, OrderDoc, PackageDoc, StockDoc, SupplyOrderDoc, WarehouseDoc } from '../models/documents';
import { factsOf, quantitiesOf } from './order-automation';
import type { OrderRepository } from './orders';
import { stockId } from './stock';
import { factsOfSupply } from './supply-automation';

/** Open orders that one dry run looks at, the newest first. */
export const PREVIEW_MOST = 200;

export interface PreviewChange {
  readonly order: string | null;
  readonly package: string | null;
  readonly supplyOrder: string | null;
  readonly rule: string | null;
  readonly what: 'status' | 'tags' | 'marketing' | 'warehouse' | 'gifts' | 'carrier';
  readonly before: unknown;
  readonly after: unknown;
  readonly detail: string | null;
}

export interface Preview {
  readonly looked: number;
  /** Those were all. */
  readonly complete: boolean;
  readonly changes: PreviewChange[];
}

/** A package in one of these is not with its supplier, and may still go there. */
const UNPUSHED: readonly PackageStatus[] = ['new', 'push_failed'];

const NOTHING: PreviewChange = {
  order: null,
  package: null,
  supplyOrder: null,
  rule: null,
  what: 'status',
  before: null,
  after: null,
  detail: null,
};

function previewOf<Row>(rows: readonly Row[], changesOf: (row: Row) => readonly PreviewChange[]): Preview {
  const looked = rows.slice(0, PREVIEW_MOST);
  return { looked: looked.length, complete: rows.length === looked.length, changes: looked.flatMap(changesOf) };
}

const same = (a: readonly string[], b: readonly string[]) => a.length === b.length && a.every((one) => b.includes(one));
const giftText = ({ rule, sku, quantity }: Pick<GiftDoc, 'rule' | 'sku' | 'quantity'>) => ({ rule, sku, quantity });

export function createAutomationPreview(db: Database, orders: Pick<OrderRepository, 'pushCheck'>) {
  const { models } = db;
  const newest = { sort: { _id: -1 }, limit: PREVIEW_MOST + 1 } as const;

  const supplyOrdersIn = (supplier: string, statuses: readonly SupplyOrderDoc['status'][]): Promise<SupplyOrderDoc[]> =>
    models.supplyOrders.find({ supplier, status: { $in: [...statuses] } }, null, newest).lean();
  const unpushed = (account: string, filter: object = {}): Promise<PackageDoc[]> =>
    models.packages
      .find({ account, status: { $in: [...UNPUSHED] }, parked: false, ...filter } as never, null, newest)
      .lean();
  async function ordersOf(ids: readonly string[]): Promise<Map<string, Omit<OrderDoc, 'recipient'>>> {
    const rows = await models.orders.find({ _id: { $in: [...new Set(ids)] } }, { recipient: 0 }).lean();
    return new Map(rows.map((row) => [row._id, row]));
  }

  async function autoPack(supplier: string, { rules }: AutomationSettings['auto-pack']): Promise<Preview> {
    return previewOf(await supplyOrdersIn(supplier, ['new']), (row) => {
      const pack = choosePacking(rules, { ...factsOfSupply(row), carrier: row.carrier?.carrier ?? null });
      if (pack === null || row.recall?.open) return [];
      const detail = `It counts as ${pack.countsAs}`;
      return [{ ...NOTHING, supplyOrder: row._id, rule: pack.rule, before: 'new', after: 'packed', detail }];
    });
  }

  async function marks(account: string, { rules }: AutomationSettings['mark-rules']): Promise<Preview> {
    const [own, supplied] = await Promise.all([
      models.orders
        .find(
          { account, syncedAt: { $ne: null }, state: { $nin: ['completed', 'cancelled'] } },
          { recipient: 0 },
          newest,
        )
        .lean(),
      supplyOrdersIn(account, [...UNSHIPPED_STATUSES, 'shipped']),
    ]);
    const ofOrders = previewOf(own, (row) => {
      const { tags, marketing } = marksOf(rules, 'orders', factsOf(row, row.lines));
      const at = { ...NOTHING, order: row._id };
      return [
        ...(same(tags, row.tags ?? []) ? [] : [{ ...at, what: 'tags' as const, before: row.tags, after: tags }]),
        ...(marketing === row.marketing
          ? []
          : [{ ...at, what: 'marketing' as const, before: row.marketing, after: marketing }]),
      ];
    });
    const ofSupply = previewOf(supplied, (row) => {
      const { tags } = marksOf(rules, 'supply_orders', factsOfSupply(row));
      if (same(tags, row.tags ?? [])) return [];
      return [{ ...NOTHING, supplyOrder: row._id, what: 'tags' as const, before: row.tags, after: tags }];
    });
    return {
      looked: ofOrders.looked + ofSupply.looked,
      complete: ofOrders.complete && ofSupply.complete,
      changes: [...ofOrders.changes, ...ofSupply.changes],
    };
  }

  /** Where each package could go, and what is free there for it: its own allocation counts as free. */
  async function sceneOf(account: string, packages: readonly PackageDoc[]) {
    const partnerships = packages.flatMap(({ partnership }) => partnership ?? []);
    const [places, given, stock] = await Promise.all([
      models.warehouses.find({ account }).sort({ _id: 1 }).lean() as Promise<WarehouseDoc[]>,
      models.partnerships.find({ _id: { $in: [...new Set(partnerships)] } }, { warehouses: 1 }).lean(),
      models.stock
        .find({ account, sku: { $in: [...new Set(packages.flatMap(({ lines }) => lines.map(({ sku }) => sku)))] } })
        .lean() as Promise<StockDoc[]>,
    ]);
    const rows = new Map(stock.map((row) => [row._id, row]));
    const warehousesOf = new Map(given.map(({ _id, warehouses }) => [_id, warehouses]));
    return {
      placesOf: ({ partnership }: PackageDoc) =>
        places.flatMap(({ _id, kind, source }) => {
          const fits =
            partnership === null
              ? kind === 'own'
              : source?.partnership === partnership && warehousesOf.get(partnership)?.includes(source.warehouse);
          return fits ? [_id] : [];
        }),
      free: (pkg: PackageDoc, place: string, sku: string, own: number) => {
        const row = rows.get(stockId(place, sku));
        if (!row) return 0;
        const held = pkg.allocated && pkg.warehouse === place ? own : 0;
        return Math.max(0, row.onHand - (row.allocated - held) - row.reserved);
      },
    };
  }

  async function allocation(account: string, { rules }: AutomationSettings['allocation-rules']): Promise<Preview> {
    const packages = await unpushed(account);
    const [scene, sources] = await Promise.all([
      sceneOf(account, packages),
      ordersOf(packages.map(({ order }) => order)),
    ]);
    return previewOf(packages, (pkg) => {
      const order = sources.get(pkg.order);
      if (!order) return [];
      const needed = [...quantitiesOf(pkg.lines)];
      const bought = pkg.lines.filter(({ line }) => !isGiftLine(line));
      const { place, rule } = chooseWarehouse({
        rules,
        facts: factsOf(order, bought.length > 0 ? bought : pkg.lines),
        places: scene.placesOf(pkg),
        hasEnough: (at) => needed.every(([sku, quantity]) => scene.free(pkg, at, sku, quantity) >= quantity),
      });
      if (place === pkg.warehouse) return [];
      const at = { ...NOTHING, order: pkg.order, package: pkg._id, rule };
      return [{ ...at, what: 'warehouse' as const, before: pkg.warehouse, after: place }];
    });
  }

  async function gifts(account: string, { rules }: AutomationSettings['gift-rules']): Promise<Preview> {
    const packages = await unpushed(account);
    const sources = [...(await ordersOf(packages.map(({ order }) => order))).values()];
    const seen = previewOf(sources, (order) => {
      const after = giftsOf(rules, factsOf(order, order.lines)).map(giftText);
      const before = (order.gifts ?? []).map(giftText);
      if (JSON.stringify(before) === JSON.stringify(after)) return [];
      const detail = 'A gift that is not there when an order is synced is left out';
      return [{ ...NOTHING, order: order._id, what: 'gifts' as const, before, after, detail }];
    });
    return { ...seen, complete: packages.length <= PREVIEW_MOST };
  }

  async function carriers(supplier: string, { rules }: AutomationSettings['shipping-rules']): Promise<Preview> {
    const rows = await supplyOrdersIn(supplier, UNSHIPPED_STATUSES);
    const outside = await models.warehouses.find({ account: supplier, kind: 'third_party' }, { _id: 1 }).lean();
    return previewOf(rows, (row) => {
      const choice = chooseCarrier(rules, {
        ...factsOfSupply(row),
        supplierArranges: supplierArrangesCarrier(row.shipping, row.platform),
        outside: outside.some(({ _id }) => _id === row.warehouse),
      });
      const [before, after] = [row.carrier?.carrier ?? null, choice?.carrier ?? null];
      if (before === after) return [];
      const at = { ...NOTHING, supplyOrder: row._id, rule: choice?.rule ?? null };
      return [{ ...at, what: 'carrier' as const, before, after }];
    });
  }

  async function autoTool(supplier: string, { enabled }: AutomationSettings['auto-tool']): Promise<Preview> {
    const rows = await supplyOrdersIn(supplier, UNSHIPPED_STATUSES);
    const packages = await models.packages.find({ _id: { $in: rows.map((row) => row.package) } }, { order: 1 }).lean();
    const orderIds = new Map(packages.map(({ _id, order }) => [_id, order]));
    const sources = await ordersOf(packages.map(({ order }) => order));
    return previewOf(rows, (row) => {
      const order = sources.get(orderIds.get(row.package) ?? '');
      const follow = order && enabled ? followedTo(order) : null;
      const moves = autoMoves(row.status, recallInTheWay(row.recall), { pack: null, follow });
      if (moves === 'wait' || moves.length === 0) return [];
      const detail = `The platform says ${order?.platformState}`;
      return [{ ...NOTHING, supplyOrder: row._id, before: row.status, after: follow, detail }];
    });
  }

  async function autoPush(account: string, { partnerships }: AutomationSettings['auto-push']): Promise<Preview> {
    const packages = await unpushed(account, { status: 'new', partnership: { $in: [...partnerships] } });
    const blockers = new Map<string, string[]>();
    for (const order of new Set(packages.slice(0, PREVIEW_MOST).map((pkg) => pkg.order)))
      for (const check of await orders.pushCheck(account, order))
        blockers.set(
          check.package._id,
          check.blockers.map(({ detail }) => detail),
        );
    return previewOf(packages, (pkg) => {
      const why = blockers.get(pkg._id) ?? [];
      const at = { ...NOTHING, order: pkg.order, package: pkg._id, before: 'new' };
      return [{ ...at, after: why.length > 0 ? 'push_failed' : 'pushed', detail: why.join('; ') || null }];
    });
  }

  const looks: {
    readonly [Kind in AutomationKind]: (account: string, settings: AutomationSettings[Kind]) => Promise<Preview>;
  } = {
    'auto-pack': autoPack,
    'mark-rules': marks,
    'allocation-rules': allocation,
    'gift-rules': gifts,
    'shipping-rules': carriers,
    'auto-tool': autoTool,
    'auto-push': autoPush,
  };

  return {
    /** What would change on the account's open orders if they came now, under these settings. */
    look: <Kind extends AutomationKind>(
      account: string,
      kind: Kind,
      settings: AutomationSettings[Kind],
    ): Promise<Preview> => looks[kind](account, settings),
  };
}
