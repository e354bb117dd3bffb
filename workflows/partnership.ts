import { allHandlersFinished, condition, continueAsNew, setCurrentDetails, setHandler } from '@temporalio/workflow';
import { isEnded, type PartnershipStatus } from '../domain/partnership';
import { isHistoryLong } from './history';
import { PARTNERSHIP_UPDATES, state } from './messages';
import { local, store } from './proxies';

export interface PartnershipInput {
  readonly partnership: string;
  /** How long after the application the supplier is reminded of it. Milliseconds. */
  readonly remindAfterMs: number;
}

/** One line for operators. */
const DETAILS: Partial<Record<PartnershipStatus, string>> = {
  pending_review:
    'Waits for the supplier to **approve** or **reject**, or the applicant to **withdraw** (through the API).',
  partnered: 'Partnered. Ends with **terminate** (through the API).',
};

/**
 * The whole relationship of a supplier and a distributor. Contract: partnership.md, From invitation to partnership.
 *
 * Id `partnership/{partnership}`. Updates `approve`, `reject`, `withdraw`, `changeTerms`, `terminate`; query `state`. The
 * store's state table decides each in one transaction, so that of two reviewers at once one wins; a refusal is the update's
 * answer, not a failure. One timer: an application that nobody has decided reminds the supplier, and waits on. It lives as
 * long as the partnership is open and continues as new before its history grows long, its handlers done.
 */
export async function partnership(input: PartnershipInput): Promise<void> {
  const { partnership: id } = input;
  let status: PartnershipStatus = 'pending_review';
  setHandler(state, () => ({
    phase: status,
    waitsFor: status === 'pending_review' ? 'the supplier’s decision' : null,
  }));
  for (const move of Object.values(PARTNERSHIP_UPDATES))
    setHandler(move, async (command) => {
      const step = { partnership: id, command };
      const answer = await local.movePartnership(step).catch(() => store.movePartnership(step));
      if (answer.ok) see(answer.status);
      return answer;
    });
  const there = await local
    .partnershipState({ partnership: id })
    .catch(() => store.partnershipState({ partnership: id }));
  see(there.status);

  const isDone = () => isHistoryLong() || isEnded(status);
  if (status === 'pending_review') {
    const left = there.appliedAt + input.remindAfterMs - Date.now();
    const decided = left > 0 && (await condition(() => status !== 'pending_review' || isDone(), left));
    if (!decided) await store.remindOfApplication({ partnership: id });
  }
  await condition(isDone);
  await condition(allHandlersFinished);
  if (!isEnded(status)) await continueAsNew<typeof partnership>(input);

  /** Nothing leads back: a decision is not undone by an answer that is older than it. */
  function see(next: PartnershipStatus): void {
    if (stageOf(next) >= stageOf(status)) status = next;
    setCurrentDetails(DETAILS[status] ?? '');
  }
}

function stageOf(status: PartnershipStatus): number {
  if (isEnded(status)) return 2;
  return status === 'pending_review' ? 0 : 1;
}
