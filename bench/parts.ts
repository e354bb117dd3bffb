/** API and worker as processes of their own, over a bench's hub. */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { testEnvironment } from '../test/support/environment';
import { type Hub, SANDBOX_KEYS } from '../test/support/hub';

/** What both parts are started with: the hub's database and queue, its sandbox, and the API on this port. */
export function partEnvironment(hub: Hub, port: number): Record<string, string> {
  const { temporalAddress, mongoUri } = testEnvironment();
  const key = `test:${Buffer.alloc(32, 7).toString('base64')}`;
  return {
    ...{ LOG_LEVEL: 'error', API_PORT: String(port), METRICS_PORT: '0', DATA_KEYS: key, PAYLOAD_KEYS: key },
    ...{ ADMIN_KEY: randomBytes(24).toString('hex'), MONGODB_URI: mongoUri, MONGODB_DATABASE: hub.database },
    ...{ TEMPORAL_ADDRESS: temporalAddress, TEMPORAL_TASK_QUEUE_PREFIX: hub.queuePrefix },
    SHOPEE_BASE_URL: `${hub.sandbox.url}/shopee`,
    SHOPEE_PARTNER_ID: SANDBOX_KEYS.shopee.partnerId,
    SHOPEE_PARTNER_KEY: SANDBOX_KEYS.shopee.partnerKey,
    LAZADA_BASE_URL: `${hub.sandbox.url}/lazada/rest`,
    LAZADA_AUTH_BASE_URL: `${hub.sandbox.url}/lazada/rest`,
    LAZADA_APP_KEY: SANDBOX_KEYS.lazada.appKey,
    LAZADA_APP_SECRET: SANDBOX_KEYS.lazada.appSecret,
  };
}

/** @param entry `worker/main.ts` or `api/server.ts` */
export function startPart(
  entry: string,
  env: Readonly<Record<string, string>>,
  nodeOptions: readonly string[] = [],
): ChildProcess {
  return spawn(process.execPath, [...nodeOptions, '--import', 'tsx', resolve(__dirname, '..', entry)], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
}

/** Memory of a process in MB: `VmHWM` is the most it ever had, `VmRSS` what it has. Linux only; NaN elsewhere. */
export function memoryOf({ pid }: ChildProcess, field: 'VmHWM' | 'VmRSS'): number {
  try {
    const status = readFileSync(`/proc/${pid}/status`, 'utf8');
    return Number(new RegExp(`${field}:\\s+(\\d+) kB`).exec(status)?.[1]) / 1000;
  } catch {
    return Number.NaN;
  }
}
