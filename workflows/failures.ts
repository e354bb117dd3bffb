/** In a workflow an activity's failure arrives wrapped; this says what it was. */
import { ActivityFailure, ApplicationFailure, isCancellation } from '@temporalio/workflow';

export interface FailureWords {
  /** A code of the failure catalogue. */
  readonly code: string;
  readonly detail: string;
}

/** The activity's failure is one that another try can't change. */
export function isRefusal(error: unknown): boolean {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  return cause instanceof ApplicationFailure && cause.nonRetryable === true;
}

export function failureWords(error: unknown): FailureWords {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) return { code: cause.type ?? 'internal', detail: cause.message };
  return { code: 'internal', detail: cause instanceof Error ? cause.message : 'unknown failure' };
}

/** What a step came to, or the failure that used its tries up. A cancellation is thrown. */
export async function orFailure<T>(step: () => Promise<T>): Promise<T | FailureWords> {
  try {
    return await step();
  } catch (error) {
    if (isCancellation(error)) throw error;
    return failureWords(error);
  }
}
