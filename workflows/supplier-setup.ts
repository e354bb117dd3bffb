import { allHandlersFinished, condition, continueAsNew, setCurrentDetails, setHandler } from '@temporalio/workflow';
import { isHistoryLong } from './history';
import { completeStep, state } from './messages';
import { local, store } from './proxies';

export interface SupplierSetupInput {
  readonly supplier: string;
  /** How long after the activation each reminder comes, the earliest first. Milliseconds. */
  readonly remindAfterMs: readonly number[];
}

/**
 * A supplier's set-up, from the activation until it is live. Contract: partnership.md, Activating Distribution.
 *
 * Id `supplier-setup/{supplier}`. Update `completeStep`; query `state`. Each step is checked and written in one transaction;
 * a refusal is the update's answer. Timers: reminders, each told once; after the last it waits on. It ends when the set-up is
 * live and continues as new before its history grows long.
 */
export async function supplierSetup(input: SupplierSetupInput): Promise<void> {
  const { supplier } = input;
  let live = false;
  setHandler(state, () => ({ phase: live ? 'live' : 'set-up', waitsFor: live ? null : 'the supplier’s next step' }));
  setHandler(completeStep, async (command) => {
    const step = { supplier, command };
    const answer = await local.completeSetupStep(step).catch(() => store.completeSetupStep(step));
    if (answer.ok) live ||= answer.live;
    return answer;
  });
  setCurrentDetails('Waits for the supplier’s next step: GET /v1/supplier/setup shows which are missing.');
  const there = await local.setupState({ supplier }).catch(() => store.setupState({ supplier }));
  live ||= there.live;

  const isDone = () => live || isHistoryLong();
  for (const [index, afterMs] of input.remindAfterMs.entries()) {
    const left = there.activatedAt + afterMs - Date.now();
    if (left > 0 && (await condition(isDone, left))) break;
    // One that came due while this did not run is told now; one that was told before is not told again.
    if (!isDone()) await store.remindOfSetup({ supplier, reminder: index + 1 });
  }
  await condition(isDone);
  await condition(allHandlersFinished);
  if (!live) await continueAsNew<typeof supplierSetup>(input);
}
