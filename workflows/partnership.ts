import {
  allHandlersFinished,
  condition,
  continueAsNew,
  setCurrentDetails,
  setHandler,
  workflowInfo,
} from '@temporalio/workflow';
import type { PartnershipStatus } from '../domain/partnership';
import { approve, state } from './messages';
import { local, store } from './proxies';

export interface PartnershipInput {
  readonly partnership: string;
  readonly status: PartnershipStatus;
}

/**
 * The whole relationship of a supplier and a distributor. Contract: partnership.md, From invitation to partnership.
 *
 * Id `partnership/{partnership}`. Update `approve`; query `state`. The store's state table decides, so that two reviewers
 * at once give one winner; a refusal is the update's answer, not a failure. It lives as long as the partnership is open and
 * continues as new on the server's suggestion, its handlers done.
 */
export async function partnership(input: PartnershipInput): Promise<void> {
  let status = input.status;
  setHandler(state, () => ({
    phase: status,
    waitsFor: status === 'pending_review' ? 'the supplier’s decision' : null,
  }));
  setHandler(approve, async (approval) => {
    const command = { ...approval, partnership: input.partnership };
    const answer = await local.approvePartnership(command).catch(() => store.approvePartnership(command));
    if (answer.ok) {
      status = answer.status;
      setCurrentDetails('Partnered.');
    }
    return answer;
  });
  if (status === 'pending_review') setCurrentDetails('Waits for the supplier to approve.');

  await condition(() => workflowInfo().continueAsNewSuggested || isEnded(status));
  await condition(allHandlersFinished);
  if (!isEnded(status)) await continueAsNew<typeof partnership>({ ...input, status });
}

function isEnded(status: PartnershipStatus): boolean {
  return status === 'rejected' || status === 'terminated' || status === 'withdrawn';
}
