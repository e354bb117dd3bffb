/** Why an order is cancelled, and what came of telling its platform. */

export const CANCEL_REASONS = ['out_of_stock', 'customer_request', 'undeliverable_area'] as const;
export type CancelReason = (typeof CANCEL_REASONS)[number];

/**
 * What became of telling a platform of a cancellation. `told`: it took the refusal; `stays`: it takes none, the wish stays
 * there; `gone_on`: there is nothing to cancel, or to answer, any more.
 */
export type CancelOutcome = 'cancelled' | 'told' | 'stays' | 'gone_on';

/** How a cancellation ends: `rejected` and `withdrawn` are those of a buyer's wish. */
export type CancellationEnd = 'cancelled' | 'rejected' | 'withdrawn' | 'failed';
