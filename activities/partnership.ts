/** A supplier's set-up, decisions on a partnership, reminders, and the publication of a product. */
import { isHubError } from '../domain/failures';
import type { PartnershipCommand, PartnershipStatus, SetupCommand } from '../domain/partnership';
import type { DecisionAnswer, Refusal, SetupAnswer } from '../workflows/messages';
import { beginSettling } from './claims';
import type { ActivityDeps } from './deps';

/** A refusal is a value: it is the answer to the update. What may pass by itself is thrown, and tried again. */
async function orRefusal<T>(work: () => Promise<T>): Promise<T | Refusal> {
  try {
    return await work();
  } catch (error) {
    if (!isHubError(error) || error.retryable) throw error;
    const { code, detail, extra } = error;
    return { ok: false, code, detail, members: { ...extra.members }, errors: [...(extra.errors ?? [])] };
  }
}

export function createPartnershipActivities(deps: ActivityDeps) {
  const { store, processes } = deps;
  return {
    /** Makes a move of a partnership and wakes the lanes of what it changed. */
    movePartnership: (input: { partnership: string; command: PartnershipCommand }): Promise<DecisionAnswer> =>
      orRefusal(async () => {
        const { row, lanes } = await store.partnerships.move(input.partnership, input.command);
        processes.wakeLanes(lanes);
        return { ok: true, status: row.status };
      }),

    /** @returns where it stands, and when it was applied for (epoch ms) */
    async partnershipState(input: { partnership: string }): Promise<{ status: PartnershipStatus; appliedAt: number }> {
      const { status, appliedAt } = await store.partnerships.stateOf(input.partnership);
      return { status, appliedAt: appliedAt.getTime() };
    },

    async remindOfApplication(input: { partnership: string }): Promise<void> {
      await store.partnerships.remindOfApplication(input.partnership);
    },

    completeSetupStep: (input: { supplier: string; command: SetupCommand }): Promise<SetupAnswer> =>
      orRefusal(async () => {
        const { live } = await store.partnerships.completeSetup(input.supplier, input.command);
        return { ok: true, live };
      }),

    /** @returns whether the set-up is live, and when it was begun (epoch ms) */
    async setupState(input: { supplier: string }): Promise<{ live: boolean; activatedAt: number }> {
      const { live, createdAt } = await store.partnerships.supplier(input.supplier);
      return { live, activatedAt: createdAt.getTime() };
    },

    async remindOfSetup(input: { supplier: string; reminder: number }): Promise<void> {
      await store.partnerships.remindOfSetup(input.supplier, input.reminder);
    },

    async publishProduct(input: { supplier: string; sku: string; attempt: number }): Promise<void> {
      await store.products.publish(input.supplier, input.sku, input.attempt);
      await beginSettling(deps, input.supplier);
    },
  };
}
