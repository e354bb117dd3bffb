/**
 * Logs: a constant message with fields. JSON lines for machines, or one readable line each. Fields whose name says that
 * they hold a secret or personal data are blacked out wherever they stand, so that a slip of the pen does not leak.
 */
import winston from 'winston';
import { isHidden, REDACTED, redactSecrets } from '../domain/redaction';

/** What the code needs of a logger. The second argument holds the fields; the message is a constant. */
export interface Logger {
  debug(message: string, fields?: LogFields): void;
  info(message: string, fields?: LogFields): void;
  warn(message: string, fields?: LogFields): void;
  error(message: string, fields?: LogFields): void;
  /** The same logger, adding these fields to each line. */
  child(fields: LogFields): Logger;
}

export type LogFields = Readonly<Record<string, unknown>>;

export interface LoggerOptions {
  readonly level: 'error' | 'warn' | 'info' | 'debug';
  readonly format: 'json' | 'pretty';
  /** Which process writes: `api`, `worker`, `sandbox`, … */
  readonly service: string;
  /** Where lines go instead of standard output; for tests. */
  readonly stream?: NodeJS.WritableStream;
}

const MAX_DEPTH = 6;
const MAX_ITEMS = 50;
const MAX_TEXT = 4000;

function redactText(text: string): string {
  return redactSecrets(text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT)}…` : text);
}

/** Node's own errors are not always `instanceof Error` (other realms), so they are told by their shape. */
function isError(value: object): value is Error {
  return value instanceof Error || (Object.hasOwn(value, 'message') && Object.hasOwn(value, 'stack'));
}

/** The fields of an error that help: never its request, response, config or other attachments. */
function plainError(error: Error, depth: number): Record<string, unknown> {
  const { code, cause } = error as { code?: unknown; cause?: unknown };
  return {
    name: error.name,
    message: redactText(error.message),
    ...(typeof code === 'string' || typeof code === 'number' ? { code } : {}),
    ...(error.stack === undefined ? {} : { stack: redactText(error.stack) }),
    ...(cause === undefined ? {} : { cause: redact(cause, depth + 1) }),
  };
}

/** A copy of the value that is safe to write: bounded in depth and length, without secrets and personal data. */
function redact(value: unknown, depth = 0): unknown {
  if (typeof value === 'string') return redactText(value);
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'function' || typeof value === 'symbol') return `[${typeof value}]`;
  if (typeof value !== 'object' || value === null) return value;
  if (depth >= MAX_DEPTH) return '[too deep]';
  if (value instanceof Date) return Number.isNaN(value.getTime()) ? 'Invalid Date' : value.toISOString();
  if (ArrayBuffer.isView(value) || value instanceof ArrayBuffer) return `[${value.byteLength} bytes]`;
  if (isError(value)) return plainError(value, depth);
  if (Array.isArray(value)) {
    const items = value.slice(0, MAX_ITEMS).map((item) => redact(item, depth + 1));
    return value.length > MAX_ITEMS ? [...items, `… ${value.length - MAX_ITEMS} more`] : items;
  }
  const entries = value instanceof Map ? [...value.entries()] : Object.entries(value);
  return Object.fromEntries(
    entries
      .slice(0, MAX_ITEMS)
      .map(([name, item]) => [String(name), isHidden(String(name)) ? REDACTED : redact(item, depth + 1)]),
  );
}

/** winston keeps level and message beside the fields; fields are redacted, the (constant) message only as a text. */
const redaction = winston.format((info) => {
  for (const [name, value] of Object.entries(info)) {
    if (name === 'level' || name === 'timestamp') continue;
    if (name === 'message') info.message = redactText(String(value));
    else info[name] = isHidden(name) ? REDACTED : redact(value);
  }
  return info;
});

const pretty = winston.format.printf(({ timestamp, level, message, service, ...fields }) => {
  const rest = Object.entries(fields)
    .filter(([, value]) => value !== undefined)
    .map(([name, value]) => `${name}=${typeof value === 'string' ? value : JSON.stringify(value)}`);
  return `${String(timestamp).slice(11, 23)} ${level.padEnd(5)} ${service} ${message} ${rest.join(' ')}`.trimEnd();
});

function wrap(inner: winston.Logger): Logger {
  // A field called `message`, `level`, … would replace winston's own: such fields move one level down.
  const write = (level: LoggerOptions['level'], message: string, fields: LogFields = {}) => {
    inner.log({ ...safeNames(fields), level, message });
  };
  return {
    debug: (message, fields) => write('debug', message, fields),
    info: (message, fields) => write('info', message, fields),
    warn: (message, fields) => write('warn', message, fields),
    error: (message, fields) => write('error', message, fields),
    child: (fields) => wrap(inner.child(safeNames(fields))),
  };
}

function safeNames(fields: LogFields): LogFields {
  const own = ['level', 'message', 'timestamp', 'service'].filter((name) => Object.hasOwn(fields, name));
  if (own.length === 0) return fields;
  return Object.fromEntries(
    Object.entries(fields).map(([name, value]) => [own.includes(name) ? `field_${name}` : name, value]),
  );
}

/** The process's logger. It writes to standard output, which winston does not block on. */
export function createLogger(options: LoggerOptions): Logger {
  const { combine, timestamp, json } = winston.format;
  const transport = options.stream
    ? new winston.transports.Stream({ stream: options.stream })
    : new winston.transports.Console();
  return wrap(
    winston.createLogger({
      level: options.level,
      defaultMeta: { service: options.service },
      format: combine(timestamp(), redaction(), options.format === 'json' ? json() : pretty),
      transports: [transport],
    }),
  );
}
