/** What holds for a cancellation on every platform, whatever its wire looks like. */
import type { CancelOutcome } from '../../domain/cancellations';
import { hasLeft, type PlatformOrderState } from '../../domain/orders';

/** What has become of an order that is to be cancelled; null while that may still be done. */
export function cancelOutcome(state: PlatformOrderState): CancelOutcome | null {
  if (state === 'cancelled') return 'cancelled';
  return hasLeft(state) ? 'gone_on' : null;
}
