/** Where processes run and under which policies their ids are used again. */
export * from '../domain/process-ids';

/** Task queues, by the prefix of an installation (or of one test). */
export const taskQueueOf = (prefix: string): string => `${prefix}-hub`;

/**
 * A start that finds the process running joins it; else it begins (again): after an end, a termination in the UI, or a lost
 * history. What must not happen twice is guarded by our own records, so a process that runs once more finds it done.
 */
export const JOIN_OR_START = {
  workflowIdConflictPolicy: 'USE_EXISTING',
  workflowIdReusePolicy: 'ALLOW_DUPLICATE',
} as const;
