/**
 * The environment, read once. `loadConfig` is the only reader of `process.env` in the parts that run in production; it
 * checks everything and reports all problems in one message. Secrets are never part of that message.
 */
import { z } from 'zod';
import { DELIVERY_MARGIN_MS } from './timeouts';

/** One key of 256 bits, with the id that ciphertexts carry so that keys can be rotated. */
export interface NamedKey {
  readonly id: string;
  readonly key: Buffer;
}

/** The environment does not describe a usable configuration. `problems` has one line per wrong variable. */
export class ConfigError extends Error {
  constructor(readonly problems: readonly string[]) {
    super(`The environment is not usable:\n${problems.map((problem) => `  - ${problem}`).join('\n')}`);
    this.name = 'ConfigError';
  }
}

const DAY_MS = 24 * 60 * 60 * 1000;
const MEBIBYTE = 1024 * 1024;

const wholeNumber = (least: number, most: number, otherwise: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= least && value <= most, `must lie between ${least} and ${most}`)
    .default(otherwise);
const port = (otherwise: number) => wholeNumber(0, 65535, otherwise);
const milliseconds = (otherwise: number, least = 0) => wholeNumber(least, 30 * DAY_MS, otherwise);

const httpUrl = z
  .string()
  .refine(
    (text) => URL.canParse(text) && /^https?:$/.test(new URL(text).protocol),
    'must be an address that starts with http:// or https://',
  )
  .transform((text) => text.replace(/\/+$/, ''));
const restUrl = httpUrl.refine((text) => text.endsWith('/rest'), 'must end with /rest');

/** `id:base64[,id:base64…]`; the first key is the current one, the others only open what was written before. */
const namedKeys = z.string().transform((text, context): readonly NamedKey[] => {
  const keys: NamedKey[] = [];
  for (const [index, part] of text.split(',').entries()) {
    const match = /^([A-Za-z0-9_-]{1,32}):([A-Za-z0-9+/]{43}=)$/.exec(part.trim());
    if (match?.[1] === undefined || match[2] === undefined) {
      context.addIssue({ code: 'custom', message: `key ${index + 1} is not of the form id:base64 of 32 bytes` });
    } else if (keys.some((key) => key.id === match[1])) {
      context.addIssue({ code: 'custom', message: `key ${index + 1} has the id of another` });
    } else {
      keys.push({ id: match[1], key: Buffer.from(match[2], 'base64') });
    }
  }
  return keys;
});

/**
 * Who may say, in X-Forwarded-For, where a request came from: how many proxies stand in front, or their addresses. Nobody by
 * default: the header is anybody's to write.
 */
const trustedProxies = z.string().transform((text, context): false | number | readonly string[] => {
  if (/^(off|false|0)$/.test(text)) return false;
  if (/^\d{1,2}$/.test(text)) return Number(text);
  const names = text.split(',').map((name) => name.trim());
  if (names.every((name) => /^(loopback|linklocal|uniquelocal|[\da-f.:]{2,45}(\/\d{1,3})?)$/i.test(name))) return names;
  context.addIssue({ code: 'custom', message: 'must be off, a number of proxies, or their addresses' });
  return z.NEVER;
});

/** Each variable, its form and its default. `.env.example` documents each of them; a test compares the two. */
const variables = {
  NODE_ENV: z.enum(['development', 'test', 'production']).default('development'),
  LOG_LEVEL: z.enum(['error', 'warn', 'info', 'debug']).default('info'),
  LOG_FORMAT: z.enum(['json', 'pretty']).optional(),

  API_HOST: z.string().default('127.0.0.1'),
  API_PORT: port(8080),
  METRICS_PORT: port(9464),
  PUBLIC_URL: httpUrl.optional(),
  RATE_LIMIT_PER_MINUTE: wholeNumber(1, 10_000_000, 6000),
  TRUST_PROXY: trustedProxies.default(false),
  BODY_LIMIT_BYTES: wholeNumber(1024, 100 * MEBIBYTE, 10 * MEBIBYTE),
  ADMIN_KEY: z.string().min(24, 'must have at least 24 characters'),

  DATA_KEYS: namedKeys,
  PAYLOAD_KEYS: namedKeys,

  MONGODB_URI: z.string().regex(/^mongodb(\+srv)?:\/\/\S+$/, 'must start with mongodb:// or mongodb+srv://'),
  MONGODB_DATABASE: z
    .string()
    .regex(/^[A-Za-z0-9_-]{1,63}$/, 'must be a name of at most 63 letters, digits, _ and -')
    .default('tradelane'),

  TEMPORAL_ADDRESS: z
    .string()
    .regex(/^\S+:\d{1,5}$/, 'must be host:port')
    .default('127.0.0.1:7233'),
  TEMPORAL_NAMESPACE: z.string().default('default'),
  TEMPORAL_TASK_QUEUE_PREFIX: z.string().default('tradelane'),

  SHOPEE_BASE_URL: httpUrl.optional(),
  SHOPEE_PARTNER_ID: z
    .string()
    .regex(/^\d{1,15}$/, 'must be a whole number')
    .transform(Number)
    .optional(),
  SHOPEE_PARTNER_KEY: z.string().optional(),
  LAZADA_BASE_URL: restUrl.optional(),
  LAZADA_AUTH_BASE_URL: restUrl.optional(),
  LAZADA_APP_KEY: z.string().optional(),
  LAZADA_APP_SECRET: z.string().optional(),

  RATES_URL: httpUrl.optional(),
  RATES_RENEW_AFTER_MS: milliseconds(3_600_000, 1_000),

  PUSH_PACING_MS: milliseconds(500),
  LANE_BATCHES_PER_PASS: wholeNumber(1, 10_000, 40),
  LANE_ATTEMPTS: wholeNumber(1, 1000, 8),
  LANE_FIRST_WAIT_MS: milliseconds(1000, 1),
  LANE_LONGEST_WAIT_MS: milliseconds(60_000, 1),
  ORDER_PUSH_ATTEMPTS: wholeNumber(1, 1000, 8),
  ORDER_PUSH_FIRST_WAIT_MS: milliseconds(1000, 1),
  ORDER_PUSH_LONGEST_WAIT_MS: milliseconds(60_000, 1),
  ORDER_PUSH_PARKED_MS: milliseconds(3 * DAY_MS, 1),
  APPLICATION_REMINDER_MS: milliseconds(7 * DAY_MS, 1),
  SETUP_FIRST_REMINDER_MS: milliseconds(3 * DAY_MS, 1),
  SETUP_SECOND_REMINDER_MS: milliseconds(14 * DAY_MS, 1),
  RECALL_ANSWER_MS: milliseconds(DAY_MS, 1),
  SHIPMENT_WAIT_MS: milliseconds(DAY_MS / 2),
  ORDER_POLL_INTERVAL_MS: milliseconds(300_000),
  ORDER_POLL_OVERLAP_MS: wholeNumber(60_000, DAY_MS / 2, 600_000),
  SWEEP_INTERVAL_MS: milliseconds(60_000, 100),
  SWEEP_GRACE_MS: milliseconds(30_000),

  SMTP_URL: z
    .string()
    .refine(
      (text) => URL.canParse(text) && /^smtps?:$/.test(new URL(text).protocol),
      'must be an address that starts with smtp:// or smtps://',
    )
    .optional(),
  SMTP_FROM: z
    .string()
    .regex(
      /^(?:[^\s<>@,;"]{1,64}@[A-Za-z0-9.-]{1,253}|[^<>"\p{Cc}]{1,100} <[^\s<>@,;"]{1,64}@[A-Za-z0-9.-]{1,253}>)$/u,
      'must be a@b or Name <a@b>',
    )
    .optional(),
  NOTIFY_ALLOW_PRIVATE_ADDRESSES: z.enum(['true', 'false']).default('false'),
  NOTIFY_TIMEOUT_MS: wholeNumber(1, 30_000, 10_000),
  NOTIFY_ATTEMPTS: wholeNumber(1, 1000, 80),
  NOTIFY_FIRST_WAIT_MS: milliseconds(5_000, 1),
  NOTIFY_LONGEST_WAIT_MS: milliseconds(3_600_000, 1),
  NOTIFY_PARKED_MS: milliseconds(7 * DAY_MS, 1),

  PLATFORM_TIMEOUT_MS: milliseconds(10_000, 1),
  PLATFORM_BLIP_TRIES: wholeNumber(1, 10, 2),
  PLATFORM_BLIP_WAIT_MS: milliseconds(200),

  CODEC_PORT: port(0),
  CODEC_KEY: z.string().min(24, 'must have at least 24 characters').optional(),
  SHUTDOWN_MS: milliseconds(15_000, 100),
  WORKER_METRICS_PORT: port(0),
  WORKER_CONCURRENT_ACTIVITIES: wholeNumber(1, 10_000, 100),
  WORKER_CONCURRENT_WORKFLOW_TASKS: wholeNumber(2, 10_000, 40),
  WORKER_CACHED_WORKFLOWS: wholeNumber(0, 100_000, 500),
} as const;

/** The names of all variables that the hub reads. */
export const VARIABLE_NAMES: readonly string[] = Object.keys(variables);

/** What is configured as a whole or not at all. */
const SETS = {
  'E-mail': ['SMTP_URL', 'SMTP_FROM'],
  Shopee: ['SHOPEE_BASE_URL', 'SHOPEE_PARTNER_ID', 'SHOPEE_PARTNER_KEY'],
  Lazada: ['LAZADA_BASE_URL', 'LAZADA_AUTH_BASE_URL', 'LAZADA_APP_KEY', 'LAZADA_APP_SECRET'],
} as const;

/** Budgets of retries, with the defaults of their waits. */
const WAITS = [
  ['LANE', 1_000, 60_000],
  ['ORDER_PUSH', 1_000, 60_000],
  ['NOTIFY', 5_000, 3_600_000],
] as const;

const schema = z.object(variables);
type Variables = z.infer<typeof schema>;

/** What holds across variables; told apart from their forms so that it is reported together with them. */
function problemsAcross(given: Record<string, string>): string[] {
  const problems: string[] = [];
  for (const [what, names] of Object.entries(SETS)) {
    const missing = names.filter((name) => given[name] === undefined);
    if (missing.length > 0 && missing.length < names.length) {
      problems.push(`${what} is set in part: ${missing.join(', ')} missing (set all of ${names.join(', ')} or none)`);
    }
  }
  if (Number(given.CODEC_PORT ?? 0) > 0 && given.CODEC_KEY === undefined) {
    problems.push('CODEC_KEY is required when CODEC_PORT is set');
  }
  if (Number(given.SETUP_FIRST_REMINDER_MS ?? 0) > Number(given.SETUP_SECOND_REMINDER_MS ?? 14 * DAY_MS))
    problems.push('SETUP_FIRST_REMINDER_MS must not exceed SETUP_SECOND_REMINDER_MS');
  for (const [what, firstMs, longestMs] of WAITS) {
    const first = given[`${what}_FIRST_WAIT_MS`] ?? firstMs;
    const longest = given[`${what}_LONGEST_WAIT_MS`] ?? longestMs;
    if (Number(first) > Number(longest)) {
      problems.push(`${what}_FIRST_WAIT_MS must not exceed ${what}_LONGEST_WAIT_MS`);
    }
  }
  return problems;
}

function shopeeOf(values: Variables) {
  const { SHOPEE_BASE_URL: baseUrl, SHOPEE_PARTNER_ID: partnerId, SHOPEE_PARTNER_KEY: partnerKey } = values;
  return baseUrl === undefined || partnerId === undefined || partnerKey === undefined
    ? undefined
    : { baseUrl, partnerId, partnerKey };
}

function lazadaOf(values: Variables) {
  const { LAZADA_BASE_URL: baseUrl, LAZADA_AUTH_BASE_URL: authBaseUrl } = values;
  const { LAZADA_APP_KEY: appKey, LAZADA_APP_SECRET: appSecret } = values;
  return baseUrl === undefined || authBaseUrl === undefined || appKey === undefined || appSecret === undefined
    ? undefined
    : { baseUrl, authBaseUrl, appKey, appSecret };
}

function smtpOf(values: Variables) {
  const { SMTP_URL: url, SMTP_FROM: from } = values;
  return url === undefined || from === undefined ? undefined : { url, from };
}

function toConfig(values: Variables) {
  return {
    env: values.NODE_ENV,
    log: {
      level: values.LOG_LEVEL,
      format: values.LOG_FORMAT ?? (values.NODE_ENV === 'production' ? ('json' as const) : ('pretty' as const)),
    },
    api: {
      host: values.API_HOST,
      port: values.API_PORT,
      /** 0 switches the metrics listener off. */
      metricsPort: values.METRICS_PORT,
      /** What others reach the API under; the webhook addresses given to platforms begin with it. */
      publicUrl: values.PUBLIC_URL ?? `http://${values.API_HOST}:${values.API_PORT}`,
      rateLimitPerMinute: values.RATE_LIMIT_PER_MINUTE,
      trustProxy: values.TRUST_PROXY,
      bodyLimitBytes: values.BODY_LIMIT_BYTES,
    },
    adminKey: values.ADMIN_KEY,
    /** Keys of the fields that the store encrypts; the first is current. */
    dataKeys: values.DATA_KEYS,
    /** Keys of the Temporal payload codec; the first is current. */
    payloadKeys: values.PAYLOAD_KEYS,
    mongo: { uri: values.MONGODB_URI, database: values.MONGODB_DATABASE },
    temporal: {
      address: values.TEMPORAL_ADDRESS,
      namespace: values.TEMPORAL_NAMESPACE,
      taskQueuePrefix: values.TEMPORAL_TASK_QUEUE_PREFIX,
    },
    platforms: { shopee: shopeeOf(values), lazada: lazadaOf(values) },
    /** Live exchange rates; without an address only fixed rates count. */
    rates: { url: values.RATES_URL, renewAfterMs: values.RATES_RENEW_AFTER_MS },
    lanes: {
      pacingMs: values.PUSH_PACING_MS,
      batchesPerPass: values.LANE_BATCHES_PER_PASS,
      attempts: values.LANE_ATTEMPTS,
      firstWaitMs: values.LANE_FIRST_WAIT_MS,
      longestWaitMs: values.LANE_LONGEST_WAIT_MS,
    },
    orderPush: {
      attempts: values.ORDER_PUSH_ATTEMPTS,
      firstWaitMs: values.ORDER_PUSH_FIRST_WAIT_MS,
      longestWaitMs: values.ORDER_PUSH_LONGEST_WAIT_MS,
      parkedMs: values.ORDER_PUSH_PARKED_MS,
    },
    reminders: {
      applicationAfterMs: values.APPLICATION_REMINDER_MS,
      setupAfterMs: [values.SETUP_FIRST_REMINDER_MS, values.SETUP_SECOND_REMINDER_MS],
    },
    /** How long a supplier may take to answer a recall. */
    recall: { answerMs: values.RECALL_ANSWER_MS },
    /** Where a platform takes an order as a whole: how long what left waits for the rest of it. */
    shipments: { waitMs: values.SHIPMENT_WAIT_MS },
    /** How often each connected store is polled for orders (0: never), and by how much each poll overlaps the last. */
    polls: { intervalMs: values.ORDER_POLL_INTERVAL_MS, overlapMs: values.ORDER_POLL_OVERLAP_MS },
    sweep: { intervalMs: values.SWEEP_INTERVAL_MS, graceMs: values.SWEEP_GRACE_MS },
    notifications: {
      /** Without it there is no e-mail. */
      smtp: smtpOf(values),
      allowPrivateAddresses: values.NOTIFY_ALLOW_PRIVATE_ADDRESSES === 'true',
      timeoutMs: values.NOTIFY_TIMEOUT_MS,
      tryMs: values.NOTIFY_TIMEOUT_MS + DELIVERY_MARGIN_MS,
      attempts: values.NOTIFY_ATTEMPTS,
      firstWaitMs: values.NOTIFY_FIRST_WAIT_MS,
      longestWaitMs: values.NOTIFY_LONGEST_WAIT_MS,
      parkedMs: values.NOTIFY_PARKED_MS,
    },
    /** One HTTP attempt's time-out, and the quick repeats inside one attempt of an activity. */
    platformHttp: {
      timeoutMs: values.PLATFORM_TIMEOUT_MS,
      tries: values.PLATFORM_BLIP_TRIES,
      waitMs: values.PLATFORM_BLIP_WAIT_MS,
    },
    codec: { port: values.CODEC_PORT, key: values.CODEC_KEY },
    shutdownMs: values.SHUTDOWN_MS,
    worker: {
      /** 0 switches the metrics listener off. */
      metricsPort: values.WORKER_METRICS_PORT,
      concurrentActivities: values.WORKER_CONCURRENT_ACTIVITIES,
      concurrentWorkflowTasks: values.WORKER_CONCURRENT_WORKFLOW_TASKS,
      cachedWorkflows: values.WORKER_CACHED_WORKFLOWS,
    },
  };
}

/** Everything the processes are told from outside. Durations are in milliseconds, sizes in bytes. */
export type Config = ReturnType<typeof toConfig>;

/**
 * The configuration that the environment describes. An empty variable counts as not set.
 * Throws a ConfigError that names every problem; it repeats no value, as any of them may be a secret.
 */
export function loadConfig(env: Readonly<Record<string, string | undefined>> = process.env): Config {
  const given: Record<string, string> = {};
  for (const name of VARIABLE_NAMES) {
    const value = env[name]?.trim();
    if (value !== undefined && value !== '') given[name] = value;
  }
  const parsed = schema.safeParse(given);
  const problems = parsed.success ? [] : parsed.error.issues.map((issue) => problemOf(issue, given));
  problems.push(...problemsAcross(given));
  if (!parsed.success || problems.length > 0) throw new ConfigError(problems);
  return toConfig(parsed.data);
}

function problemOf(issue: z.core.$ZodIssue, given: Record<string, string>): string {
  const name = String(issue.path[0]);
  if (given[name] === undefined) return `${name} is required`;
  if (issue.code === 'invalid_value') return `${name} must be one of ${issue.values.map(String).join(', ')}`;
  return `${name} ${issue.message}`;
}
