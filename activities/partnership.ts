/** Decisions on a partnership, and the publication of a product. A refusal is a value: it is the answer to the update. */
import { isHubError } from '../domain/failures';
import type { Currency } from '../domain/money';
import type { ApprovalCommand, DecisionAnswer } from '../workflows/messages';
import type { ActivityDeps } from './deps';

export function createPartnershipActivities({ store }: ActivityDeps) {
  return {
    async approvePartnership(input: ApprovalCommand & { partnership: string }): Promise<DecisionAnswer> {
      const settlementCurrency = input.settlementCurrency as Currency;
      try {
        const row = await store.partnerships.approve(
          input.supplier,
          input.partnership,
          {
            customer: input.customer,
            settlementCurrency,
            level: input.level,
            warehouses: input.warehouses,
            creditLimit:
              input.creditLimit === null ? null : { amount: input.creditLimit, currency: settlementCurrency },
            creditPeriodDays: input.creditPeriodDays,
          },
          input.command,
        );
        return { ok: true, status: row.status };
      } catch (error) {
        if (!isHubError(error) || error.retryable) throw error;
        return {
          ok: false,
          code: error.code,
          detail: error.detail,
          members: { ...error.extra.members },
          errors: [...(error.extra.errors ?? [])],
        };
      }
    },

    async publishProduct(input: { supplier: string; sku: string; attempt: number }): Promise<void> {
      await store.products.publish(input.supplier, input.sku, input.attempt);
    },
  };
}
