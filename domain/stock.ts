/** Stock arithmetic. Contract: catalogue.md, Stock. Quantities are whole units. */

export interface StockLevels {
  readonly onHand: number;
  readonly allocated: number;
  readonly reserved: number;
  readonly inTransit: number;
}

export const STOCK_LEVELS = ['onHand', 'allocated', 'reserved', 'inTransit'] as const satisfies (keyof StockLevels)[];

/** Only the levels of what has them. */
export const levelsOf = ({ onHand, allocated, reserved, inTransit }: StockLevels): StockLevels => ({
  onHand,
  allocated,
  reserved,
  inTransit,
});

/** available = on hand − allocated − reserved; below 0 only where the source of mirrored stock says less than was promised, shown as 0. */
export function available(levels: Pick<StockLevels, 'onHand' | 'allocated' | 'reserved'>): number {
  return Math.max(0, levels.onHand - levels.allocated - levels.reserved);
}

/** What an adjustment can do. `count` sets on hand to what was counted; the others add to or take from one quantity. */
export const ADJUSTMENT_KINDS = ['stockIn', 'stockOut', 'count', 'reserve', 'unreserve', 'inTransit'] as const;
export type AdjustmentKind = (typeof ADJUSTMENT_KINDS)[number];

export type AdjustmentDecision =
  | { readonly ok: true; readonly after: StockLevels }
  | { readonly ok: false; readonly reason: 'insufficient_stock'; readonly available: number }
  | { readonly ok: false; readonly reason: 'quantity_below_zero'; readonly detail: string };

/**
 * The levels after an adjustment, or why it is refused. `quantity` is ≥ 0; for `inTransit` it is the new quantity in
 * transit (bought and not yet received), for `count` the counted on hand.
 */
export function adjust(levels: StockLevels, kind: AdjustmentKind, quantity: number): AdjustmentDecision {
  const free = available(levels);
  switch (kind) {
    case 'stockIn':
      return { ok: true, after: { ...levels, onHand: levels.onHand + quantity } };
    case 'stockOut':
      if (quantity > free) return { ok: false, reason: 'insufficient_stock', available: free };
      return { ok: true, after: { ...levels, onHand: levels.onHand - quantity } };
    case 'count':
      if (quantity < levels.allocated + levels.reserved)
        return {
          ok: false,
          reason: 'quantity_below_zero',
          detail: `${levels.allocated} are allocated and ${levels.reserved} reserved; a count of ${quantity} would leave less than none available`,
        };
      return { ok: true, after: { ...levels, onHand: quantity } };
    case 'reserve':
      if (quantity > free) return { ok: false, reason: 'insufficient_stock', available: free };
      return { ok: true, after: { ...levels, reserved: levels.reserved + quantity } };
    case 'unreserve':
      if (quantity > levels.reserved)
        return { ok: false, reason: 'quantity_below_zero', detail: `Only ${levels.reserved} are reserved` };
      return { ok: true, after: { ...levels, reserved: levels.reserved - quantity } };
    case 'inTransit':
      return { ok: true, after: { ...levels, inTransit: quantity } };
  }
}

/** The smallest whole number of sets that the components allow in one warehouse. */
export function availableSets(
  components: readonly { readonly sku: string; readonly quantity: number }[],
  availableOf: (sku: string) => number,
): number {
  if (components.length === 0) return 0;
  return Math.min(...components.map((part) => Math.floor(availableOf(part.sku) / part.quantity)));
}
