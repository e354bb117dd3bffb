/** How long a history may grow. ADR 10. */
import { workflowInfo } from '@temporalio/workflow';

/** Events from which a process continues as new: some fifty workflow tasks to replay. */
export const LONG_HISTORY = 150;

/**
 * Whether to continue as new: as the server suggests, and long before that. When a worker has died, the next one has to replay
 * each of its processes within one workflow task, all of them at the same moment.
 */
export function isHistoryLong(): boolean {
  const { continueAsNewSuggested, historyLength } = workflowInfo();
  return continueAsNewSuggested || historyLength >= LONG_HISTORY;
}
