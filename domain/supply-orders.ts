/** Supply orders: the moves of a supplier, and what a recall comes to. Contract: orders.md, Supply orders and Recall. */
import type { PackageStatus } from './orders';

export const SUPPLY_ORDER_STATUSES = ['new', 'packed', 'to_pickup', 'shipped', 'completed', 'cancelled'] as const;
export type SupplyOrderStatus = (typeof SUPPLY_ORDER_STATUSES)[number];

/** One step at a time; `cancelled` is reached by a recall alone. */
export const SUPPLY_ORDER_MOVES = {
  pack: { from: 'new', to: 'packed' },
  ready: { from: 'packed', to: 'to_pickup' },
  ship: { from: 'to_pickup', to: 'shipped' },
  complete: { from: 'shipped', to: 'completed' },
} as const satisfies Record<string, { from: SupplyOrderStatus; to: SupplyOrderStatus }>;
export type SupplyOrderMove = keyof typeof SUPPLY_ORDER_MOVES;

/** In these the goods are still at the supplier's, allocated. */
export const UNSHIPPED_STATUSES: readonly SupplyOrderStatus[] = ['new', 'packed', 'to_pickup'];

/** What the distributor's package shows while the supply order is there. */
export function packageStatusOf(status: SupplyOrderStatus): PackageStatus {
  if (status === 'new') return 'pushed';
  return status === 'cancelled' ? 'recalled' : status;
}

/**
 * `running`: nothing was decided yet. `asked`: the supplier may answer. `warehouse`: the 3PL that holds the goods was asked
 * to cancel, and its answer decides. `recalled` and `failed` are ends.
 */
export const RECALL_STATES = ['running', 'asked', 'warehouse', 'recalled', 'failed'] as const;
export type RecallState = (typeof RECALL_STATES)[number];

/** Units of each SKU, lines of one SKU added up, in the order of the SKUs: writers that meet lock in one order. */
export function unitsBySku(lines: readonly { readonly sku: string; readonly quantity: number }[]): [string, number][] {
  const units = new Map<string, number>();
  for (const { sku, quantity } of lines) units.set(sku, (units.get(sku) ?? 0) + quantity);
  return [...units].sort(([a], [b]) => (a < b ? -1 : 1));
}

/**
 * Of a supply order whose goods lie in a 3PL's warehouse: `creating` until the operator took its outbound order, then
 * `accepted`. `refused` and `withdrawn` were undone: the supply order is cancelled and was never the supplier's.
 */
export const OUTBOUND_STATES = ['creating', 'accepted', 'refused', 'withdrawn'] as const;
export type OutboundState = (typeof OUTBOUND_STATES)[number];

/** Its push was undone before it was done. */
export const isUndone = (outbound: { readonly state: OutboundState } | null | undefined): boolean =>
  outbound?.state === 'refused' || outbound?.state === 'withdrawn';

/** Tracking numbers that are none of ours. Spaces, dashes and case make no other number. */
export function otherNumbers(theirs: readonly string[], ours: readonly string[]): string[] {
  const plain = (number: string) => number.replace(/[\s-]/g, '').toUpperCase();
  const known = new Set(ours.map(plain));
  return theirs.filter((number) => !known.has(plain(number)));
}

/** Why a move is refused; null where it may be made. */
export function refusalOfMove(
  status: SupplyOrderStatus,
  move: SupplyOrderMove,
  recall: RecallState | null,
  outbound: OutboundState | null = null,
): string | null {
  const { from } = SUPPLY_ORDER_MOVES[move];
  if (status !== from) return `The supply order is ${status}; ${move} needs ${from}`;
  if (outbound === 'creating') return 'The operator of the warehouse has not taken its outbound order yet';
  if (recall === 'warehouse') return 'The warehouse was asked to cancel it for a recall, and has not answered yet';
  return null;
}

export interface RecallFacts {
  readonly packageStatus: PackageStatus;
  /** Its push waits for an operator. */
  readonly parked: boolean;
  /** Null where the push has not gone through. */
  readonly supplyOrder: SupplyOrderStatus | null;
  /** The goods lie in a 3PL's warehouse, which is asked first. */
  readonly outside: boolean;
}

export type RecallDecision =
  | { readonly kind: 'abandon_push' | 'succeed' | 'ask_supplier' | 'ask_warehouse' }
  | { readonly kind: 'refused'; readonly code: 'not_pushed' | 'recall_not_possible'; readonly detail: string };

/** The page's table. */
export function decideRecall({ packageStatus, parked, supplyOrder, outside }: RecallFacts): RecallDecision {
  if (supplyOrder === null) {
    if (packageStatus === 'pushing' || parked) return { kind: 'abandon_push' };
    return {
      kind: 'refused',
      code: 'not_pushed',
      detail: `The package is ${packageStatus}: the supplier has nothing of it`,
    };
  }
  if (!UNSHIPPED_STATUSES.includes(supplyOrder))
    return {
      kind: 'refused',
      code: 'recall_not_possible',
      detail: supplyOrder === 'cancelled' ? 'It was recalled already' : `The supplier has ${supplyOrder} it`,
    };
  if (outside) return { kind: 'ask_warehouse' };
  return { kind: supplyOrder === 'new' ? 'succeed' : 'ask_supplier' };
}

/** `waiting`: the platform is told once the order's other packages are out too. `none`: there is no platform to tell. */
export const SHIPMENT_NOTICES = ['none', 'due', 'waiting', 'told', 'failed'] as const;
export type ShipmentNotice = (typeof SHIPMENT_NOTICES)[number];
