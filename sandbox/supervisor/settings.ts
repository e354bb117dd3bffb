/** What `npm start` makes up by itself and keeps in the data folder: secrets and ports. */
import { randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

export interface Secrets {
  readonly adminKey: string;
  readonly dataKeys: string;
  readonly payloadKeys: string;
  readonly codecKey: string;
  readonly shopeePartnerId: string;
  readonly shopeePartnerKey: string;
  readonly lazadaAppKey: string;
  readonly lazadaAppSecret: string;
}

export interface Ports {
  readonly api: number;
  readonly metrics: number;
  readonly workerMetrics: number;
  readonly temporal: number;
  readonly temporalUi: number;
  readonly mongo: number;
  readonly sandbox: number;
}

const DEFAULT_PORTS: Ports = {
  api: 8080,
  metrics: 9464,
  workerMetrics: 9474,
  temporal: 7233,
  temporalUi: 8233,
  mongo: 27117,
  sandbox: 8090,
};

/** Reads a JSON file of the data folder; undefined where there is none. */
export function readKept<T>(folder: string, name: string): T | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new Error(`${join(folder, name)} cannot be read: ${(error as Error).message}`);
  }
}

/** Writes a JSON file of the data folder, for its owner only, whole or not at all. */
export function keep(folder: string, name: string, value: unknown): void {
  const file = join(folder, name);
  writeFileSync(`${file}.new`, `${JSON.stringify(value, null, 2)}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
}

/** The secrets of this data folder, made at its first start. Without them its data cannot be read. */
export function secretsOf(folder: string): Secrets {
  const kept = readKept<Secrets>(folder, 'secrets.json');
  if (kept !== undefined) return kept;
  const key = () => randomBytes(32).toString('base64');
  const made: Secrets = {
    adminKey: `admin_${randomBytes(24).toString('base64url')}`,
    dataKeys: `d1:${key()}`,
    payloadKeys: `p1:${key()}`,
    codecKey: randomBytes(24).toString('base64url'),
    shopeePartnerId: '2001887',
    shopeePartnerKey: randomBytes(32).toString('hex'),
    lazadaAppKey: '100132',
    lazadaAppSecret: randomBytes(16).toString('hex'),
  };
  keep(folder, 'secrets.json', made);
  return made;
}

/** The ports to try first: those the environment names, then those of the last start, then the usual ones. */
export function wantedPorts(folder: string, env: NodeJS.ProcessEnv): Ports {
  const kept = readKept<Partial<Ports>>(folder, 'ports.json') ?? {};
  const named = { api: env.API_PORT, metrics: env.METRICS_PORT, workerMetrics: env.WORKER_METRICS_PORT };
  const fromEnvironment = Object.fromEntries(
    Object.entries({ ...named, sandbox: env.SANDBOX_PORT })
      .filter(([, value]) => Number(value) > 0)
      .map(([name, value]) => [name, Number(value)]),
  );
  return { ...DEFAULT_PORTS, ...kept, ...fromEnvironment };
}
