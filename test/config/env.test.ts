import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ConfigError, loadConfig, VARIABLE_NAMES } from '../../config/env';

const KEY_ONE = Buffer.alloc(32, 1).toString('base64');
const KEY_TWO = Buffer.alloc(32, 2).toString('base64');
const LEAST = {
  ADMIN_KEY: 'an-admin-key-of-24-chars',
  DATA_KEYS: `k2:${KEY_TWO},k1:${KEY_ONE}`,
  PAYLOAD_KEYS: `p1:${KEY_ONE}`,
  MONGODB_URI: 'mongodb://127.0.0.1:27017',
};

function problemsOf(env: Record<string, string>): readonly string[] {
  try {
    loadConfig(env);
  } catch (error) {
    if (error instanceof ConfigError) return error.problems;
    throw error;
  }
  return [];
}

describe('the configuration', () => {
  test('needs four variables, and has a default for each other', () => {
    const config = loadConfig(LEAST);
    expect(config).toEqual({
      env: 'development',
      log: { level: 'info', format: 'pretty' },
      api: {
        host: '127.0.0.1',
        port: 8080,
        metricsPort: 9464,
        publicUrl: 'http://127.0.0.1:8080',
        rateLimitPerMinute: 6000,
        trustProxy: false,
        bodyLimitBytes: 10 * 1024 * 1024,
      },
      adminKey: LEAST.ADMIN_KEY,
      dataKeys: [
        { id: 'k2', key: Buffer.alloc(32, 2) },
        { id: 'k1', key: Buffer.alloc(32, 1) },
      ],
      payloadKeys: [{ id: 'p1', key: Buffer.alloc(32, 1) }],
      mongo: { uri: 'mongodb://127.0.0.1:27017', database: 'tradelane' },
      temporal: { address: '127.0.0.1:7233', namespace: 'default', taskQueuePrefix: 'tradelane' },
      platforms: { shopee: undefined, lazada: undefined },
      rates: { url: undefined, renewAfterMs: 3_600_000 },
      lanes: { pacingMs: 500, batchesPerPass: 40, attempts: 8, firstWaitMs: 1000, longestWaitMs: 60_000 },
      orderPush: { attempts: 8, firstWaitMs: 1000, longestWaitMs: 60_000, parkedMs: 259_200_000 },
      // 7 days; 3 days and again after 14.
      reminders: { applicationAfterMs: 604_800_000, setupAfterMs: [259_200_000, 1_209_600_000] },
      recall: { answerMs: 86_400_000 },
      shipments: { waitMs: 43_200_000 },
      polls: { intervalMs: 300_000, overlapMs: 600_000 },
      sweep: { intervalMs: 60_000, graceMs: 30_000 },
      notifications: {
        smtp: undefined,
        allowPrivateAddresses: false,
        timeoutMs: 10_000,
        tryMs: 20_000,
        attempts: 80,
        firstWaitMs: 5_000,
        longestWaitMs: 3_600_000,
        parkedMs: 604_800_000,
      },
      platformHttp: { timeoutMs: 10_000, tries: 2, waitMs: 200 },
      codec: { port: 0, key: undefined },
      shutdownMs: 15_000,
      worker: { metricsPort: 0, concurrentActivities: 100, concurrentWorkflowTasks: 40, cachedWorkflows: 500 },
    });
  });

  test('takes what is given', () => {
    const config = loadConfig({
      ...LEAST,
      NODE_ENV: 'production',
      API_PORT: '9000',
      PUBLIC_URL: 'https://hub.example.com/',
      SHOPEE_BASE_URL: 'http://127.0.0.1:8090/shopee',
      SHOPEE_PARTNER_ID: '2001887',
      SHOPEE_PARTNER_KEY: 'secret-one',
      LAZADA_BASE_URL: 'http://127.0.0.1:8090/lazada/rest',
      LAZADA_AUTH_BASE_URL: 'http://127.0.0.1:8090/lazada-auth/rest',
      LAZADA_APP_KEY: '100132',
      LAZADA_APP_SECRET: 'secret-two',
    });
    expect(config.log.format).toBe('json');
    expect(config.api.publicUrl).toBe('https://hub.example.com');
    expect(config.platforms.shopee).toEqual({
      baseUrl: 'http://127.0.0.1:8090/shopee',
      partnerId: 2001887,
      partnerKey: 'secret-one',
    });
    expect(config.platforms.lazada).toEqual({
      baseUrl: 'http://127.0.0.1:8090/lazada/rest',
      authBaseUrl: 'http://127.0.0.1:8090/lazada-auth/rest',
      appKey: '100132',
      appSecret: 'secret-two',
    });
  });

  test('names all problems at once', () => {
    const problems = problemsOf({
      LOG_LEVEL: 'loud',
      API_PORT: '70000',
      SWEEP_INTERVAL_MS: '1.5',
      ORDER_POLL_OVERLAP_MS: '59999',
      ADMIN_KEY: '   ',
      DATA_KEYS: 'k1:c2hvcnQ=',
      TEMPORAL_ADDRESS: 'nowhere',
      SHOPEE_BASE_URL: 'http://127.0.0.1:1',
      LAZADA_BASE_URL: 'https://api.lazada.com.my',
      CODEC_PORT: '9001',
      LANE_FIRST_WAIT_MS: '70000',
      SMTP_URL: 'http://mail.example.com',
      NOTIFY_TIMEOUT_MS: '30001',
      NOTIFY_LONGEST_WAIT_MS: '4999',
    });
    expect(problems.map((problem) => problem.split(' ')[0]).sort()).toEqual(
      [
        'ADMIN_KEY',
        'E-mail',
        'NOTIFY_FIRST_WAIT_MS',
        'NOTIFY_TIMEOUT_MS',
        'SMTP_URL',
        'API_PORT',
        'CODEC_KEY',
        'DATA_KEYS',
        'LANE_FIRST_WAIT_MS',
        'LAZADA_BASE_URL',
        'LOG_LEVEL',
        'Lazada',
        'MONGODB_URI',
        'ORDER_POLL_OVERLAP_MS',
        'PAYLOAD_KEYS',
        'SWEEP_INTERVAL_MS',
        'Shopee',
        'TEMPORAL_ADDRESS',
      ].sort(),
    );
    expect(problems).toContain('ADMIN_KEY is required');
    expect(problems).toContain('LOG_LEVEL must be one of error, warn, info, debug');
    expect(problems.find((problem) => problem.startsWith('Shopee'))).toContain('SHOPEE_PARTNER_ID, SHOPEE_PARTNER_KEY');
  });

  test('repeats no value in a problem, as any may be a secret', () => {
    const wrong = Object.fromEntries(VARIABLE_NAMES.map((name) => [name, '%tell-tale%']));
    const text = problemsOf(wrong).join('\n');
    expect(text).toContain('ADMIN_KEY');
    expect(text).toContain('DATA_KEYS');
    expect(text).not.toContain('tell-tale');
  });

  test('is documented in .env.example: each variable once, with the default that the code has', () => {
    const lines = readFileSync(join(__dirname, '../../.env.example'), 'utf8').split('\n');
    const documented = lines.flatMap((line) => {
      const match = /^(#?)([A-Z][A-Z0-9_]*)=(.*)$/.exec(line);
      return match ? [{ name: match[2] as string, value: match[3] as string, active: match[1] === '' }] : [];
    });
    expect(documented.map(({ name }) => name).sort()).toEqual([...VARIABLE_NAMES].sort());
    const active = Object.fromEntries(documented.filter((line) => line.active).map(({ name, value }) => [name, value]));
    expect(loadConfig({ ...active, ...LEAST })).toEqual(loadConfig(LEAST));
  });
});
