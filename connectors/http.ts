/**
 * The one way out to a platform. One axios instance with a deadline, a size limit and no redirects; blips are repeated
 * here (a second try within the same attempt, only where repeating is safe), everything longer is the workflow's.
 * Whatever goes wrong leaves as a `PlatformError`: axios' own errors carry headers and URLs and never get out.
 */
import http from 'node:http';
import https from 'node:https';
import axios, { type AxiosInstance } from 'axios';
import pRetry from 'p-retry';
import { type Neighbour, PlatformError } from './port';

/** The part of a logger that connectors use. Fields are host, path and numbers: never a query, header or body. */
export interface ConnectorLogger {
  debug(message: string, fields?: Record<string, unknown>): void;
  warn(message: string, fields?: Record<string, unknown>): void;
}

export interface PlatformHttpOptions {
  /** Deadline of one HTTP try, from connecting to the last byte. Milliseconds. */
  readonly timeoutMs: number;
  /** How often a blip is tried, the first included. */
  readonly tries: number;
  /** Pause between two tries. Milliseconds. */
  readonly waitMs: number;
  /** A longer answer is refused. Bytes; 8 MiB unless told. */
  readonly maxAnswerBytes?: number;
  readonly logger?: ConnectorLogger;
}

/** How long a call lasts at most, its pauses included. Milliseconds. */
export const longestCallMs = ({
  timeoutMs,
  tries,
  waitMs,
}: Pick<PlatformHttpOptions, 'timeoutMs' | 'tries' | 'waitMs'>) => tries * timeoutMs + (tries - 1) * waitMs;

/** What came back, parsed but not yet judged: a 200 is not a success. */
export interface PlatformAnswer {
  readonly status: number;
  readonly json: unknown;
  /** Instead of JSON, where a document was asked for and one came. */
  readonly bytes?: Buffer;
  /** From the Retry-After header. Milliseconds. */
  readonly retryAfterMs: number | undefined;
}

export interface PlatformCall<T> {
  readonly method: 'GET' | 'POST';
  readonly baseUrl: string;
  /** The path behind the base URL; the only part of the address that is logged. Holds no ids or secrets. */
  readonly path: string;
  /** Made anew for each try, because it carries a time and a signature. */
  readonly query: () => ReadonlyArray<readonly [string, string]>;
  readonly body?: { readonly contentType: string; readonly text: string };
  /** Repeating it changes nothing: a read. A write that fails midway is reported with `outcomeUnknown`. */
  readonly idempotent: boolean;
  /** A document (a PDF) is asked for; a failure comes as JSON all the same. */
  readonly document?: boolean;
  /** Values that may never appear in an error or a result, in case the platform echoes them. */
  readonly secrets: readonly string[];
  /** Judges the envelope and gives the value, or throws a `PlatformError`. */
  readonly read: (answer: PlatformAnswer) => T;
}

export interface PlatformHttp {
  /** Makes the call; ends in `read`'s value or throws a `PlatformError`. */
  call<T>(call: PlatformCall<T>): Promise<T>;
}

const DEFAULT_MAX_ANSWER_BYTES = 8 * 1024 * 1024;
const LONGEST_MESSAGE = 300;
/**
 * An idle connection is closed by us before the platform closes it: a write sent into a closing one would end with an
 * unknown outcome for nothing. Without a time-out of its own the agent ignores the platform's Keep-Alive hint, too.
 */
const AGENT = { keepAlive: true, maxSockets: 64, timeout: 10_000 } as const;

/** Nothing reached the platform: repeating is safe for every call. */
const NEVER_SENT = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CERT_HAS_EXPIRED',
]);

/**
 * Makes the HTTP side of one platform's connector.
 * @throws never at construction; see `PlatformHttp.call`.
 */
export function createPlatformHttp(platform: Neighbour, options: PlatformHttpOptions): PlatformHttp {
  const client = axios.create({
    timeout: options.timeoutMs,
    maxRedirects: 0,
    maxContentLength: options.maxAnswerBytes ?? DEFAULT_MAX_ANSWER_BYTES,
    maxBodyLength: 2 * 1024 * 1024,
    responseType: 'arraybuffer',
    transformRequest: [(data) => data],
    transformResponse: [(data) => data],
    validateStatus: () => true,
    proxy: false,
    httpAgent: new http.Agent(AGENT),
    httpsAgent: new https.Agent(AGENT),
    headers: { Accept: 'application/json', 'User-Agent': 'tradelane' },
  });
  return { call: (call) => callWithRetry(client, platform, options, call) };
}

async function callWithRetry<T>(
  client: AxiosInstance,
  platform: Neighbour,
  options: PlatformHttpOptions,
  call: PlatformCall<T>,
): Promise<T> {
  let repeatable = false;
  return pRetry(
    async (attempt) => {
      const startedAt = Date.now();
      const fields = { platform, method: call.method, host: hostOf(call.baseUrl), path: call.path, attempt };
      try {
        const answer = await send(client, platform, options, call);
        const value = call.read(answer);
        options.logger?.debug('platform call', {
          ...fields,
          status: answer.status,
          durationMs: Date.now() - startedAt,
        });
        return value;
      } catch (thrown) {
        const error = asPlatformError(platform, call, thrown);
        repeatable = isRepeatable(call, error);
        options.logger?.warn('platform call failed', {
          ...fields,
          kind: error.kind,
          code: error.code,
          durationMs: Date.now() - startedAt,
        });
        throw error;
      }
    },
    {
      retries: Math.max(0, options.tries - 1),
      factor: 1,
      minTimeout: options.waitMs,
      maxTimeout: options.waitMs,
      shouldRetry: () => repeatable,
    },
  );
}

async function send(
  client: AxiosInstance,
  platform: Neighbour,
  options: PlatformHttpOptions,
  call: PlatformCall<unknown>,
): Promise<PlatformAnswer> {
  // axios' own time-out watches an idle socket; a platform that drips bytes is held to the deadline by this one.
  const deadline = new AbortController();
  const timer = setTimeout(() => deadline.abort(), options.timeoutMs);
  try {
    const response = await client.request<Buffer>({
      method: call.method,
      url: `${call.baseUrl}${call.path}?${encodeQuery(call.query())}`,
      signal: deadline.signal,
      ...(call.body ? { data: call.body.text, headers: { 'Content-Type': call.body.contentType } } : {}),
    });
    const retryAfterMs = parseRetryAfter(response.headers['retry-after'], Date.now());
    const bytes = Buffer.from(response.data);
    if (call.document && response.status === 200 && bytes.subarray(0, 5).toString('latin1') === '%PDF-')
      return { status: 200, json: undefined, bytes, retryAfterMs };
    return readAnswer(platform, call, response.status, bytes.toString('utf8'), retryAfterMs);
  } finally {
    clearTimeout(timer);
  }
}

function readAnswer(
  platform: Neighbour,
  call: PlatformCall<unknown>,
  status: number,
  text: string,
  retryAfterMs: number | undefined,
): PlatformAnswer {
  let json: unknown;
  try {
    json = parseJsonLossless(text);
  } catch {
    if (status >= 200 && status < 300) {
      throw new PlatformError('unavailable', platform, 'bad_answer', `${call.path}: the answer is not JSON`, {
        outcomeUnknown: !call.idempotent,
      });
    }
    throw statusError(platform, call, { status, json: undefined, retryAfterMs });
  }
  return { status, json, retryAfterMs };
}

/** The failure that an HTTP status means by itself, where the platform's envelope says nothing better. */
export function statusError(
  platform: Neighbour,
  call: Pick<PlatformCall<unknown>, 'path' | 'idempotent'>,
  answer: PlatformAnswer,
): PlatformError {
  const code = `http_${answer.status}`;
  const message = `${call.path}: HTTP ${answer.status}`;
  if (answer.status === 429) {
    return new PlatformError('throttled', platform, code, message, { retryAfterMs: answer.retryAfterMs ?? 1000 });
  }
  if (answer.status === 401 || answer.status === 403) return new PlatformError('unauthorised', platform, code, message);
  if (answer.status >= 400 && answer.status < 500) return new PlatformError('rejected', platform, code, message);
  return new PlatformError('unavailable', platform, code, message, {
    outcomeUnknown: !call.idempotent && answer.status >= 500,
  });
}

/** Turns whatever was thrown into our error, cleaned of everything the call must keep to itself. */
function asPlatformError(platform: Neighbour, call: PlatformCall<unknown>, thrown: unknown): PlatformError {
  if (thrown instanceof PlatformError) {
    return new PlatformError(
      thrown.kind,
      thrown.platform,
      cleanText(thrown.code, call.secrets),
      cleanText(thrown.message, call.secrets),
      thrown.options,
    );
  }
  const code = codeOf(thrown);
  const fail = (ourCode: string, what: string, outcomeUnknown: boolean) =>
    new PlatformError('unavailable', platform, ourCode, `${call.path}: ${what}`, {
      outcomeUnknown: outcomeUnknown && !call.idempotent,
      cause: new Error(code),
    });
  if (NEVER_SENT.has(code)) return fail('connection', 'no connection', false);
  if (code === 'ERR_CANCELED' || code === 'ECONNABORTED' || code === 'ETIMEDOUT') {
    return fail('timeout', 'no answer in time', true);
  }
  if (code === 'ERR_BAD_RESPONSE') return fail('bad_answer', 'the answer is too long or broken', true);
  return fail('connection', 'the connection broke', true);
}

/** A time-out is not a blip: repeating it would double the time that the caller's budget allows for. */
function isRepeatable(call: PlatformCall<unknown>, error: PlatformError): boolean {
  if (error.kind !== 'unavailable' || error.code === 'timeout') return false;
  const cause = error.options.cause;
  if (cause instanceof Error && NEVER_SENT.has(cause.message)) return true;
  return call.idempotent;
}

// Node's own errors are not `instanceof Error` in every realm: judged by their code.
function codeOf(thrown: unknown): string {
  const code = (thrown as { code?: unknown } | null)?.code;
  return typeof code === 'string' && /^[A-Z_]{1,40}$/.test(code) ? code : 'UNKNOWN';
}

/** Removes secrets, URL queries and control characters from a text that came from outside, and bounds its length. */
export function cleanText(text: string, secrets: readonly string[]): string {
  let clean = text;
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    clean = clean.split(secret).join('[redacted]');
    const encoded = encodeURIComponent(secret);
    if (encoded !== secret) clean = clean.split(encoded).join('[redacted]');
  }
  clean = clean.replace(/(https?:\/\/[^\s?"']*)\?[^\s"']*/g, '$1');
  clean = clean.replace(/\b(access_token|refresh_token|sign|code|partner_key|app_secret)=[^\s&"']+/gi, '$1=[redacted]');
  // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is removed
  return clean.replace(/[\u0000-\u001f\u007f]+/g, ' ').slice(0, LONGEST_MESSAGE);
}

/** Seconds or an HTTP date → milliseconds from now; undefined where the header says nothing usable. */
export function parseRetryAfter(header: unknown, now: number): number | undefined {
  if (typeof header !== 'string' || header.trim() === '') return undefined;
  const seconds = Number(header);
  const waitMs = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(waitMs) ? Math.max(0, Math.round(waitMs)) : undefined;
}

const JSON_STRING_OR_NUMBER = /"[^"\\]*(?:\\.[^"\\]*)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g;

/**
 * `JSON.parse` that keeps integers beyond 2^53 as text: platforms' ids are numbers on the wire and may be that long.
 * @throws SyntaxError where the text is not JSON.
 */
export function parseJsonLossless(text: string): unknown {
  if (!/\d{16}/.test(text)) return JSON.parse(text);
  return JSON.parse(
    text.replace(JSON_STRING_OR_NUMBER, (token) => {
      if (token.startsWith('"') || !/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token))) return token;
      return `"${token}"`;
    }),
  );
}

/** Percent-encodes names and values (a space is %20, as the signatures of all platforms expect). */
export function encodeQuery(query: ReadonlyArray<readonly [string, string]>): string {
  return query.map(([name, value]) => `${encodeURIComponent(name)}=${encodeURIComponent(value)}`).join('&');
}

function hostOf(baseUrl: string): string {
  return URL.canParse(baseUrl) ? new URL(baseUrl).host : 'invalid';
}
