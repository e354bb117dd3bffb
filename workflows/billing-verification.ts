import { CancellationScope, isCancellation, setHandler } from '@temporalio/workflow';
import { failureWords, isRefusal } from './failures';
import { progress as progressQuery } from './messages';
import { installParking } from './parking';
import { importing, type RetryBudget, store } from './proxies';

export interface BillingVerificationInput {
  readonly verification: string;
  /** The parts of it, in their order. */
  readonly checks: readonly string[];
  /** Book the entries that make discrepancies good. */
  readonly repair: boolean;
  readonly budget: RetryBudget;
}

/**
 * Proves the books. Contract: billing.md, verify. Id `billing-verification/{verification}`; query `progress`.
 *
 * One check after the other, each a step that reports while it lives and begins anew where its worker died; then what would
 * make each discrepancy good is worked out, and booked where that was asked for. When the tries are used up it parks: `retry`
 * goes on at the check where it stopped, `abandon` (and a cancellation) leaves what was found.
 */
export async function billingVerification(input: BillingVerificationInput): Promise<void> {
  const { verification } = input;
  const parking = installParking();
  const steps = importing(input.budget);
  let seen = 0;
  setHandler(progressQuery, () => ({ done: seen, failed: 0, total: seen }), { description: 'Documents looked at' });
  const work: (() => Promise<unknown>)[] = [
    ...input.checks.map((check) => async () => {
      seen += await steps.runVerificationCheck({ verification, check, before: seen });
    }),
    () => steps.planVerification({ verification }),
    ...(input.repair ? [() => steps.repairVerification({ verification })] : []),
    () => store.endVerification({ verification, status: 'done' }),
  ];
  for (let at = 0; at < work.length; ) {
    try {
      await work[at]?.();
      at += 1;
    } catch (error) {
      const stop = (status: 'failed' | 'abandoned', failure: { code: string; detail: string }) =>
        CancellationScope.nonCancellable(() => store.endVerification({ verification, status, failure }));
      if (isCancellation(error)) return stop('abandoned', { code: 'internal', detail: 'the workflow was cancelled' });
      const words = failureWords(error);
      if (isRefusal(error)) return stop('failed', words);
      const decision = await parking.wait(
        `The verification stopped: ${words.detail}. Waits for **retry** (goes on where it stopped) or **abandon** (leaves what was found).`,
        { onParked: () => store.parkVerification({ verification, ...words }) },
      );
      if (decision !== 'retry') return stop('abandoned', words);
      await store.resumeVerification({ verification });
    }
  }
}
