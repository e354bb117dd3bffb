/** Claims after a change of rules or products. */
import { claimLaneId } from '../domain/process-ids';
import type { ActivityDeps } from './deps';

/** Partnerships looked at in one step: each is one short transaction. */
const CLAIM_PAGE = 20;

/** What settling needs; the request that made the change does the first page itself. */
type SettleDeps = Pick<ActivityDeps, 'store' | 'processes'>;

/** One page of a supplier's partnerships; wakes the lanes of what moved. @returns whether there are partnerships left */
async function settleClaimPage({ store, processes }: SettleDeps, supplier: string): Promise<boolean> {
  const { lanes, more } = await store.claims.settle(supplier, CLAIM_PAGE);
  processes.wakeLanes(lanes);
  return more;
}

/** The first page at once, the rest by the lane of the supplier's claims. */
export async function beginSettling(deps: SettleDeps, supplier: string): Promise<void> {
  if (await settleClaimPage(deps, supplier)) deps.processes.wakeLanes([claimLaneId(supplier)]);
}

export function createClaimActivities(deps: ActivityDeps) {
  return {
    /** One page of the claims on a supplier's products. Safe to repeat. */
    async settleClaims(input: { supplier: string }): Promise<{ more: boolean }> {
      return { more: await settleClaimPage(deps, input.supplier) };
    },
  };
}
