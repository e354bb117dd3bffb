/** The only place where a failure becomes an HTTP answer: application/problem+json (RFC 9457), with nothing internal in it. */
import type { Logger } from '../config/logger';
import type { PlatformError } from '../connectors/port';
import { FAILURES, type FailureCode, HubError, type InputProblem, isHubError } from '../domain/failures';
import { isDatabaseDown } from '../store/database';
import { z } from './schemas/zod';

/** An answer that is ready to be sent, kept and sent again. */
export interface Rendered {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  /** Empty where there is no body. */
  readonly text: string;
  /** A file that is made as it is sent; never kept. */
  readonly stream?: AsyncIterable<Buffer>;
}

const RETRY_AFTER_SECONDS = 5;

export const problemSchema = z
  .object({
    type: z.string().openapi({ example: 'urn:tradelane:problem:invalid_input' }),
    title: z.string(),
    status: z.int(),
    detail: z.string(),
    code: z.enum(Object.keys(FAILURES) as [FailureCode, ...FailureCode[]]),
    errors: z.array(z.object({ pointer: z.string(), code: z.string(), detail: z.string() })).optional(),
  })
  .catchall(z.unknown())
  .openapi('Problem', { description: 'RFC 9457; some codes add members of their own, such as `blockers`' });

const isPlatformError = (error: unknown): error is PlatformError =>
  (error as { name?: unknown } | null)?.name === 'PlatformError';

/** The body parser's failures, by its own type names. */
const PARSER_FAILURES: Readonly<Record<string, [FailureCode, string]>> = {
  'entity.parse.failed': ['malformed_json', 'The body could not be read as JSON'],
  'entity.verify.failed': ['malformed_json', 'The body is not valid UTF-8'],
  'request.size.invalid': ['malformed_json', 'The body is shorter than its Content-Length says'],
  'request.aborted': ['malformed_json', 'The body ended too early'],
  'entity.too.large': ['body_too_large', 'Send less at once'],
  'charset.unsupported': ['unsupported_media_type', 'The body must be in UTF-8'],
  'encoding.unsupported': ['unsupported_media_type', 'This Content-Encoding is not known'],
};

/** Any failure in the words of the catalogue. What nobody foresaw is `internal`, with the cause for the log alone. */
export function toHubError(error: unknown): HubError {
  if (isHubError(error)) return error;
  if (isDatabaseDown(error))
    return new HubError('unavailable', 'The database can not be reached', {
      retryAfterMs: RETRY_AFTER_SECONDS * 1000,
      cause: error,
    });
  if (isPlatformError(error)) return platformFailure(error);
  const { type, status } = (error ?? {}) as { type?: unknown; status?: unknown };
  const parser = typeof type === 'string' ? PARSER_FAILURES[type] : undefined;
  if (parser) return new HubError(...parser, { cause: error });
  // The router could not decode a part of the path: then it names nothing.
  if (error instanceof URIError || (status === 400 && (error as Error).name === 'URIError'))
    return new HubError('not_found', 'There is no such path');
  // zlib's errors on a body that is not what its Content-Encoding says.
  if (status === 400) return new HubError('malformed_json', 'The body could not be read', { cause: error });
  return new HubError('internal', 'Try again; if it lasts, give the request id to the operator', { cause: error });
}

function platformFailure(error: PlatformError): HubError {
  const members = { platform: error.platform, platformCode: error.code };
  if (error.kind === 'throttled' || error.kind === 'unavailable')
    return new HubError('platform_unavailable', `${error.platform} can not be reached now`, {
      members,
      retryAfterMs: error.options.retryAfterMs ?? RETRY_AFTER_SECONDS * 1000,
      cause: error,
    });
  if (error.kind === 'token_expired' || error.kind === 'unauthorised')
    return new HubError('needs_authorization', `${error.platform} does not accept the authorisation`, {
      members,
      cause: error,
    });
  return new HubError('platform_rejected', `${error.platform} refused: ${error.code}`, { members, cause: error });
}

/** The answer to a failure. */
export function renderProblem(failure: HubError): Rendered {
  const { status, title } = FAILURES[failure.code];
  const { members = {}, errors, retryAfterMs } = failure.extra;
  const waits = retryAfterMs ?? (status === 503 ? RETRY_AFTER_SECONDS * 1000 : undefined);
  const body = {
    ...members,
    type: `urn:tradelane:problem:${failure.code}`,
    title,
    status,
    detail: failure.detail,
    code: failure.code,
    ...(errors === undefined ? {} : { errors }),
  };
  return {
    status,
    headers: {
      'Content-Type': 'application/problem+json',
      ...(waits === undefined ? {} : { 'Retry-After': String(Math.max(1, Math.ceil(waits / 1000))) }),
      ...(status === 401 ? { 'WWW-Authenticate': 'Bearer' } : {}),
    },
    text: JSON.stringify(body),
  };
}

/** Refusals are part of the day and logged at `debug`; what is ours or a neighbour's fault is loud. */
export function logFailure(logger: Logger, failure: HubError, fields: Record<string, unknown>): void {
  const { status, level } = FAILURES[failure.code];
  if (status < 500) {
    logger.debug('Request refused', { ...fields, code: failure.code });
    return;
  }
  logger[level]('Request failed', { ...fields, code: failure.code, error: failure.extra.cause ?? failure });
}

/** 422 with every wrong place. */
export function invalidInput(errors: readonly InputProblem[]): HubError {
  const count = errors.length === 1 ? 'One value' : `${errors.length} values`;
  return new HubError('invalid_input', `${count} can not be accepted`, { errors });
}
