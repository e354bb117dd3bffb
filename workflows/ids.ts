/** Where processes run and under which policies their ids are used again. */
export * from '../domain/process-ids';

/** Task queues, by the prefix of an installation (or of one test). */
export const taskQueueOf = (prefix: string): string => `${prefix}-hub`;

/** Search attributes, all Keyword, by which an operator finds failed work. */
export const SEARCH_ATTRIBUTES = ['HubStatus', 'HubAccount', 'HubPartner', 'HubStore', 'HubDocument'] as const;

/**
 * A start that finds the process running joins it; one that finds it ended well does nothing; one that was terminated, or
 * whose history is lost, is started again. What must not happen twice is guarded by our own records.
 */
export const ONE_AT_A_TIME = {
  workflowIdConflictPolicy: 'USE_EXISTING',
  workflowIdReusePolicy: 'ALLOW_DUPLICATE_FAILED_ONLY',
} as const;

/** Lanes, intakes and sweeps end when nothing is left and begin again under the same id. */
export const AGAIN_AND_AGAIN = {
  workflowIdConflictPolicy: 'USE_EXISTING',
  workflowIdReusePolicy: 'ALLOW_DUPLICATE',
} as const;
