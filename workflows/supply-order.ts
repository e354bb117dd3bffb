import { PLATFORM_STEP_MS } from '../config/timeouts';
import { orFailure } from './failures';
import { installParking } from './parking';
import { bounded, type RetryBudget, store } from './proxies';

export interface SupplyOrderInput {
  readonly package: string;
  readonly budget: RetryBudget;
  /** How long it waits for an operator before it gives up. Milliseconds. */
  readonly parkedMs: number;
}

/** `waiting`: other packages of the order are still to leave; the sweep starts it again. */
export type SupplyOrderEnd = 'told' | 'waiting' | 'none' | 'failed';

/**
 * The part of a supply order's life that needs others: its platform is told that the goods left, with the tracking number.
 * Its moves are transactions of our own and need no workflow. Contract: orders.md, Supply orders.
 *
 * Id `supply-order/{package}`. Tried with growing waits; when the tries are used up, or the platform refuses or wants its
 * owner, it parks: updates `retry` and `abandon` (as signals too); after `parkedMs` it gives up and both sides see why. It
 * never continues as new.
 */
export async function supplyOrder(input: SupplyOrderInput): Promise<SupplyOrderEnd> {
  const parking = installParking();
  const which = { package: input.package };
  for (;;) {
    const result = await orFailure(() => bounded(input.budget, PLATFORM_STEP_MS).tellShipment(which));
    if (typeof result === 'string') return result;
    const decision = await parking.wait(
      `The platform was not told that ${input.package} left: ${result.detail}. Waits for **retry** (tells it again) or **abandon** (leaves it to people); gives up after ${Math.round(input.parkedMs / 3_600_000)} h.`,
      { onParked: () => store.parkShipment({ ...which, ...result }), forMs: input.parkedMs },
    );
    if (decision !== 'retry') {
      const why = decision === null ? 'nobody decided in time' : 'an operator gave up';
      await store.giveUpShipment({ ...which, why: `${result.detail}; ${why}` });
      return 'failed';
    }
    await store.resumeShipment(which);
  }
}
