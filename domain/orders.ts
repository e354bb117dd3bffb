/** Orders, packages and what can hold a push back. Contract: orders.md. */
import type { PriceReason } from './pricing';

/** Least advanced first: an order shows the least advanced of its packages. */
export const PACKAGE_STATUSES = [
  'new',
  'pushing',
  'push_failed',
  'pushed',
  'recalling',
  'packed',
  'to_pickup',
  'shipped',
  'completed',
  'recalled',
  'cancelled',
] as const;
export type PackageStatus = (typeof PACKAGE_STATUSES)[number];
export type OrderStatus = PackageStatus | 'unmapped' | 'unpaid';

/** States of an order at its platform, least advanced first; an older state never replaces a newer. */
export const PLATFORM_ORDER_STATES = [
  'unpaid',
  'ready_to_ship',
  'shipped',
  'completed',
  'cancel_requested',
  'cancelled',
] as const;
export type PlatformOrderState = (typeof PLATFORM_ORDER_STATES)[number];

/** Of a package, a supply order, or an order at its platform: the goods are on their way or there. */
export const hasLeft = (status: string): boolean => status === 'shipped' || status === 'completed';

/** The least advanced of the packages' statuses. */
export function orderStatusOf(order: {
  readonly unmapped: boolean;
  readonly cancelled: boolean;
  readonly synced: boolean;
  readonly packages: readonly { readonly status: PackageStatus }[];
}): OrderStatus {
  if (order.cancelled && order.packages.length === 0) return 'cancelled';
  if (order.unmapped) return 'unmapped';
  if (!order.synced) return 'unpaid';
  let least: PackageStatus = 'cancelled';
  for (const { status } of order.packages)
    if (PACKAGE_STATUSES.indexOf(status) < PACKAGE_STATUSES.indexOf(least)) least = status;
  return least;
}

/** What to do about each blocker. */
export const BLOCKER_HINTS = {
  not_partnered: 'Apply to the supplier again; orders synced while you are partners can be pushed',
  sku_inactive: 'Ask the supplier to enable the product, or enable the claim again; then push again',
  sku_not_mapped: 'Map the line: POST /v1/orders/{id}/map',
  price_missing:
    'Ask the supplier for a price; orders synced from then on have it, this one keeps what its sync fixed: cancel it',
  exchange_rate_missing:
    'Ask the supplier for a rate (PUT /v1/exchange-rates), then push again; a line whose price its sync could not fix keeps none: cancel it',
  out_of_stock: 'Push again once the supplier has stock, or cancel the order',
  quota_reached: 'Wait for the next month, or have the quota of that side raised; then push again',
  insufficient_funds: 'Top the balance up, or ask the supplier for more credit; then push again',
} as const satisfies Record<Blocker['code'], string>;

/** `hint`: what to do; absent on blockers written before there were hints. */
export type Blocker = BlockerFacts & { readonly hint?: string };

type BlockerFacts =
  | { readonly code: 'not_partnered'; readonly detail: string }
  | { readonly code: 'sku_inactive'; readonly detail: string; readonly sku: string }
  | { readonly code: 'sku_not_mapped'; readonly detail: string; readonly line: string }
  | { readonly code: PriceReason; readonly detail: string; readonly sku: string }
  | {
      readonly code: 'out_of_stock';
      readonly detail: string;
      readonly sku: string;
      readonly needed: number;
      readonly available: number;
    }
  | { readonly code: 'quota_reached'; readonly detail: string; readonly side: 'supplier' | 'distributor' }
  | { readonly code: 'insufficient_funds'; readonly detail: string };

export interface PushFacts {
  readonly partnered: boolean;
  readonly lines: readonly {
    readonly line: string;
    /** The supplier's SKU; null where the line has no mapping. */
    readonly supplierSku: string | null;
    readonly quantity: number;
    readonly active: boolean;
    /** All that there would have to be for its price to be computed; empty where it was. */
    readonly missing: readonly PriceReason[];
  }[];
  readonly availableOf: (supplierSku: string) => number;
  readonly quota: {
    readonly supplier: { readonly used: number; readonly limit: number | null };
    readonly distributor: { readonly used: number; readonly limit: number | null };
  };
  /** Minor units of the settlement currency; charge is null where a price is missing. */
  readonly funds: { readonly balance: number; readonly creditLimit: number; readonly charge: number | null };
}

/** Every blocker that holds, in the contract's order; none means the package can be pushed. */
export function findBlockers(facts: PushFacts): Blocker[] {
  const blockers: Blocker[] = [];
  if (!facts.partnered)
    blockers.push({
      code: 'not_partnered',
      detail: 'The partnership is not active, and the order was not synced before it ended',
    });
  const needed = new Map<string, number>();
  const inactive = new Set<string>();
  for (const line of facts.lines) {
    if (line.supplierSku === null) {
      blockers.push({ code: 'sku_not_mapped', line: line.line, detail: `Line ${line.line} has no mapping` });
      continue;
    }
    needed.set(line.supplierSku, (needed.get(line.supplierSku) ?? 0) + line.quantity);
    if (!line.active) inactive.add(line.supplierSku);
  }
  for (const sku of inactive)
    blockers.push({ code: 'sku_inactive', sku, detail: `The claim or the product ${sku} is not active` });
  for (const sku of needed.keys())
    for (const code of new Set(facts.lines.flatMap((line) => (line.supplierSku === sku ? line.missing : []))))
      blockers.push({ code, sku, detail: `No price for ${sku} could be computed` });
  for (const [sku, quantity] of needed) {
    const free = facts.availableOf(sku);
    if (free < quantity)
      blockers.push({
        code: 'out_of_stock',
        sku,
        needed: quantity,
        available: free,
        detail: `${quantity} of ${sku} are needed, ${free} are available`,
      });
  }
  for (const side of ['supplier', 'distributor'] as const) {
    const { used, limit } = facts.quota[side];
    if (limit !== null && used >= limit)
      blockers.push({
        code: 'quota_reached',
        side,
        detail: `The ${side} has used ${used} of ${limit} orders this month`,
      });
  }
  const { balance, creditLimit, charge } = facts.funds;
  if (charge !== null && balance - charge < -creditLimit)
    blockers.push({ code: 'insufficient_funds', detail: 'Balance and unused credit do not cover the charge' });
  return blockers.map((blocker) => ({ ...blocker, hint: BLOCKER_HINTS[blocker.code] }));
}

/** What two refusals share where they have the same causes, whatever the amounts. */
export const causesOf = (blockers: readonly Blocker[]): string =>
  blockers
    .map((one) => {
      const about = 'sku' in one ? one.sku : 'line' in one ? one.line : 'side' in one ? one.side : '';
      return `${one.code} ${about}`;
    })
    .sort()
    .join('; ');

/** What the supplier may read of the recipient: everything exactly when the supplier arranges the carrier. orders.md, Supply orders. */
export function supplierArrangesCarrier(shipping: string, platform: string): boolean {
  return (shipping === 'self_delivery' || shipping === 'self_arranged') && platform !== 'temu';
}

/** Masks a recipient's field: its first character and nothing else. */
export function mask(text: string): string {
  return text === '' ? '' : `${[...text][0]}***`;
}
