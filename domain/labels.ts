/** Whose label a parcel carries. Contract: orders.md, Supply orders, the table of labels. */
import type { Shipping } from './pricing';

/** Passed through from the platform, the 3PL or the distributor; or made by the supplier. */
export type LabelSource = 'platform' | 'third_party' | 'supplier' | 'distributor';

/** The table's column "label". */
export function labelSourceOf(shipping: Shipping, platform: string): LabelSource {
  if (shipping === 'platform_logistics') return 'platform';
  if (shipping === 'three_pl') return 'third_party';
  return platform === 'temu' ? 'distributor' : 'supplier';
}
