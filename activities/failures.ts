/** The one translation of failures into what Temporal retries by: our catalogue's codes as types. */
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import type { PlatformError } from '../connectors/port';
import { FAILURES, type FailureCode, isHubError } from '../domain/failures';
import { isDatabaseDown } from '../store/database';

/** True for a connector's error, judged by name so that module copies don't matter. */
export function isPlatformError(error: unknown): error is PlatformError {
  return (error as { name?: unknown } | null)?.name === 'PlatformError';
}

/** Turns whatever an activity threw into an `ApplicationFailure` whose type is a code of the failure catalogue. */
export function toApplicationFailure(error: unknown): Error {
  if (error instanceof ApplicationFailure) return error;
  // Cancellations and the SDK's own words pass through.
  if (error instanceof Error && /^(CancelledFailure|CompleteAsyncError|AbortError)$/.test(error.name)) return error;
  if (isHubError(error)) return failure(error.code, error.detail, error, error.extra.retryAfterMs);
  if (isPlatformError(error)) {
    const code: FailureCode =
      error.kind === 'rejected'
        ? 'platform_rejected'
        : error.kind === 'unauthorised' || error.kind === 'token_expired'
          ? 'needs_authorization'
          : 'platform_unavailable';
    return failure(code, `${error.platform} ${error.code}: ${error.message}`, error, error.options.retryAfterMs);
  }
  if (isDatabaseDown(error)) return failure('unavailable', 'MongoDB can not be reached', error);
  return failure('internal', 'Something went wrong on our side; the worker’s log says what', error);
}

function failure(code: FailureCode, detail: string, cause: unknown, retryAfterMs?: number): ApplicationFailure {
  const kind = FAILURES[code];
  return ApplicationFailure.create({
    type: code,
    message: detail,
    // A store that waits for its owner is worth another look; a refusal is not.
    nonRetryable: !kind.retryable && code !== 'needs_authorization',
    category: kind.level === 'warn' ? ApplicationFailureCategory.BENIGN : undefined,
    ...(retryAfterMs === undefined ? {} : { nextRetryDelay: retryAfterMs }),
    cause: cause instanceof Error ? cause : undefined,
  });
}
