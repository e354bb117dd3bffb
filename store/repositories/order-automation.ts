/**
 * What a distributor's rules do to an order at its sync: tags, gifts, the warehouse of each package, the push that follows by
 * itself; and how the supply orders behind it follow their platform. Contract: orders.md, Automation.
 */
import type { ClientSession } from 'mongoose';
import {
  type AutomationSettings,
  type AutoWork,
  chooseWarehouse,
  followedTo,
  type Gift,
  type GiftLeftOut,
  giftsOf,
  isGiftLine,
  marksOf,
  type OrderFacts,
} from '../../domain/automation';
import { CURRENCIES, type Currency, type Money } from '../../domain/money';
import { orderLineOf } from '../../domain/order-lines';
import { UNSHIPPED_STATUSES, unitsBySku } from '../../domain/supply-orders';
import type { Database } from '../database';
import type { GiftDoc, OrderDoc, PackageDoc, PackageLine } from '../models/documents';
import { automationId, automationOf, tellDue } from './automation';

/** What rules look at of an order. */
type Ordered = Pick<OrderDoc, 'store' | 'platform' | 'shipping' | 'currency' | 'amount'>;
type Line = { readonly sku: string | null; readonly quantity: number };

const isCurrency = (code: string): code is Currency => (CURRENCIES as readonly string[]).includes(code);
const amountOf = ({ amount, currency }: Pick<OrderDoc, 'amount' | 'currency'>): Money | null =>
  amount != null && isCurrency(currency) ? { amount, currency } : null;

/** An order as the rules of its own account see it. */
export const factsOf = (order: Ordered, lines: readonly Line[]): OrderFacts => ({
  store: order.store,
  partnership: null,
  sourceStore: null,
  warehouse: null,
  platform: order.platform,
  shipping: order.shipping,
  lines: lines.flatMap(({ sku, quantity }) => (sku === null ? [] : [{ sku, quantity }])),
  amount: amountOf(order),
});

/** What one order's sync does by rules; notes what becomes of each gift. */
export interface SyncPlan {
  readonly tags: string[];
  readonly marketing: boolean;
  readonly gifts: readonly Gift[];
  readonly settings: AutomationSettings;
  /** Removes a gift, all lines of it where it is a combination. */
  leaveOut(lines: PackageLine[], line: string, reason: GiftLeftOut): PackageLine[];
  /** What became of the gifts. */
  result(packages: readonly Pick<PackageDoc, '_id' | 'lines'>[]): GiftDoc[];
}

/** Decides tags and gifts by the lines as they were bought. */
export async function planSync(
  db: Database,
  session: ClientSession,
  account: string,
  order: Ordered,
  lines: readonly Line[],
): Promise<SyncPlan> {
  const settings = await automationOf(db, session, account);
  const facts = factsOf(order, lines);
  const { tags, marketing } = marksOf(settings['mark-rules'].rules, 'orders', facts);
  const gifts = giftsOf(settings['gift-rules'].rules, facts);
  const left = new Map<string, GiftLeftOut>();
  return {
    tags: [...tags],
    marketing,
    gifts,
    settings,
    leaveOut(of, line, reason) {
      const gift = orderLineOf(line);
      left.set(gift, reason);
      return of.filter((one) => orderLineOf(one.line) !== gift);
    },
    result: (packages) =>
      gifts.map((gift) => {
        const within = packages.find((pkg) => pkg.lines.some(({ line }) => orderLineOf(line) === gift.line));
        const leftOut = within ? null : (left.get(gift.line) ?? 'no_such_sku');
        return { ...gift, package: within?._id ?? null, leftOut };
      }),
  };
}

/** Units by SKU, lines of one SKU added up. */
export const quantitiesOf = (lines: readonly Pick<PackageLine, 'sku' | 'quantity'>[]): Map<string, number> =>
  new Map(unitsBySku(lines));

export interface Placed {
  readonly place: string | null;
  readonly enough: boolean;
  readonly rule: string | null;
  /** Without the gifts that are not there. */
  readonly lines: PackageLine[];
}

/**
 * Chooses the warehouse by the lines that were bought, one that has the gifts too before one that has not. A gift that is not there
 * is left out: it never keeps the goods waiting.
 * @param available units by `warehouse/sku`
 */
export function placePackage(
  plan: SyncPlan,
  order: Ordered,
  lines: readonly PackageLine[],
  places: readonly string[],
  available: (place: string, sku: string) => number,
): Placed {
  const bought = lines.filter(({ line }) => !isGiftLine(line));
  const gifts = lines.filter(({ line }) => isGiftLine(line));
  const rules = plan.settings['allocation-rules'].rules;
  const choose = (of: readonly PackageLine[]) => {
    const needed = [...quantitiesOf(of)];
    const hasEnough = (place: string) => needed.every(([sku, quantity]) => available(place, sku) >= quantity);
    return chooseWarehouse({ rules, facts: factsOf(order, bought.length > 0 ? bought : of), places, hasEnough });
  };
  const withGifts = choose(lines);
  if (withGifts.enough || gifts.length === 0) return { ...withGifts, lines: [...lines] };
  const chosen = bought.length > 0 ? choose(bought) : withGifts;
  let kept = [...lines];
  const used = quantitiesOf(bought);
  const fits = (part: PackageLine) =>
    chosen.place !== null && available(chosen.place, part.sku) - (used.get(part.sku) ?? 0) >= part.quantity;
  for (const gift of new Set(gifts.map(({ line }) => orderLineOf(line)))) {
    const parts = gifts.filter(({ line }) => orderLineOf(line) === gift);
    if (!parts.every(fits)) kept = plan.leaveOut(kept, gift, 'out_of_stock');
    else for (const { sku, quantity } of parts) used.set(sku, (used.get(sku) ?? 0) + quantity);
  }
  // What is left of a package of gifts alone was found to be there.
  return { ...chosen, enough: bought.length > 0 ? chosen.enough : kept.length > 0, lines: kept };
}

/** The gifts that could not be pushed are left out. */
export function withoutBlockedGifts(plan: SyncPlan, lines: readonly PackageLine[]): PackageLine[] {
  let kept = [...lines];
  for (const { line, active, priceReason } of lines)
    if (isGiftLine(line) && (!active || priceReason !== null))
      kept = plan.leaveOut(kept, line, active ? 'price_missing' : 'sku_inactive');
  return kept;
}

/** The push of a package that is made now, where the switch of its partnership is on. */
export function autoPushOf(
  db: Database,
  session: ClientSession,
  plan: SyncPlan,
  pkg: { id: string; account: string; partnership: string | null; partnered: boolean },
): PackageDoc['autoPush'] {
  const { id, account, partnership, partnered } = pkg;
  if (partnership === null || !partnered || !plan.settings['auto-push'].partnerships.includes(partnership)) return null;
  tellDue(db, session, { kind: 'push', account, package: id });
  return { open: true, lookAt: db.now() };
}

/**
 * The platform says that the order is on its way: the supply orders behind it follow, where their suppliers want that. A push
 * that is under way looks at the order itself, and conflicts with this.
 */
export async function followPlatform(
  db: Database,
  session: ClientSession,
  order: Pick<OrderDoc, '_id' | 'state' | 'awaitsPickup'>,
): Promise<void> {
  const { models, now } = db;
  const follow = followedTo(order);
  if (follow === null) return;
  const packages = await models.packages
    .find({ order: order._id, partnership: { $ne: null } })
    .session(session)
    .lean();
  for (const pkg of packages)
    if (pkg.supplyOrder === null)
      await models.packages.updateOne({ _id: pkg._id }, { $set: { updatedAt: now() } }, { session });
    else if (await hasAutoTool(db, session, pkg.supplier)) await markFollow(db, session, pkg.supplyOrder, follow);
}

async function hasAutoTool({ models }: Database, session: ClientSession, supplier: string | null): Promise<boolean> {
  const row = await models.automations
    .findById(automationId(supplier ?? '', 'auto-tool'))
    .session(session)
    .lean();
  return (row?.settings as AutomationSettings['auto-tool'] | undefined)?.enabled ?? false;
}

async function markFollow(
  db: Database,
  session: ClientSession,
  id: string,
  follow: NonNullable<AutoWork['follow']>,
): Promise<void> {
  const { models, now } = db;
  const row = await models.supplyOrders.findById(id, { status: 1, auto: 1 }).session(session).lean();
  if (!row || !UNSHIPPED_STATUSES.includes(row.status) || row.auto?.follow === follow) return;
  const auto = { pack: row.auto?.pack ?? null, follow, open: true, lookAt: now() };
  await models.supplyOrders.collection.updateOne({ _id: id } as never, { $set: { auto } }, { session });
  tellDue(db, session, { kind: 'move', supplyOrder: id });
}
