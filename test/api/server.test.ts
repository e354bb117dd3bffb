import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { MongoClient } from 'mongodb';
import { freePort } from '../../sandbox/engines/ports';
import { testEnvironment } from '../support/environment';
import { wireTo } from './wire';

const ROOT = resolve(__dirname, '../..');
const ADMIN_KEY = 'the-admin-key-of-the-server-test';

async function eventually<T>(what: string, look: () => Promise<T | null | undefined | false>): Promise<T> {
  const end = Date.now() + 30_000;
  for (;;) {
    const found = await look().catch(() => null);
    if (found) return found;
    if (Date.now() > end) throw new Error(`Did not come: ${what}`);
    await new Promise((done) => setTimeout(done, 50));
  }
}

describe('the API’s process', () => {
  const database = `api_${randomBytes(6).toString('hex')}`;
  let child: ChildProcess | undefined;
  let output = '';
  afterAll(async () => {
    if (child?.exitCode === null) child.kill('SIGKILL');
    const client = await MongoClient.connect(testEnvironment().mongoUri);
    await client.db(database).dropDatabase();
    await client.close();
  });

  it('waits for the database and says so, serves, and ends by itself within its limit', async () => {
    const environment = testEnvironment();
    const wire = await wireTo(environment.mongoUri);
    await wire.cut();
    const [port, metricsPort] = [await freePort(), await freePort()];
    const server = spawn(process.execPath, ['--import', 'tsx', 'api/server.ts'], {
      cwd: ROOT,
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        LOG_FORMAT: 'json',
        API_PORT: String(port),
        METRICS_PORT: String(metricsPort),
        ADMIN_KEY,
        DATA_KEYS: `k:${Buffer.alloc(32, 1).toString('base64')}`,
        PAYLOAD_KEYS: `k:${Buffer.alloc(32, 2).toString('base64')}`,
        MONGODB_URI: wire.uri,
        MONGODB_DATABASE: database,
        TEMPORAL_ADDRESS: environment.temporalAddress,
        SHUTDOWN_MS: '5000',
      },
    });
    for (const stream of [server.stdout, server.stderr])
      stream?.on('data', (chunk) => {
        output += chunk;
      });
    child = server;
    const ended = new Promise<number | null>((done) => server.once('exit', done));

    await eventually('a line about the database', async () => output.includes('Waiting for a neighbour'));
    await wire.mend();
    const url = `http://127.0.0.1:${port}`;
    await eventually('readiness', async () => (await fetch(`${url}/readyz`)).ok).catch((error: Error) => {
      throw new Error(`${error.message}; the process wrote:\n${output}`);
    });
    const made = await fetch(`${url}/v1/accounts`, {
      method: 'POST',
      headers: { Authorization: `Bearer ${ADMIN_KEY}`, 'Content-Type': 'application/json' },
      body: JSON.stringify({ name: 'First', plan: 'v2' }),
    });
    expect(made.status).toBe(201);
    const { apiKey } = (await made.json()) as { apiKey: { key: string } };
    const metrics = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
    expect(metrics).toContain('route="/v1/accounts",status="201"');
    expect(metrics).toContain('process_cpu_user_seconds_total');

    const stopAskedAt = Date.now();
    server.kill('SIGTERM');
    expect(await ended).toBe(0);
    expect(Date.now() - stopAskedAt).toBeLessThan(5_000);
    expect(output).toContain('API ended');
    for (const secret of [ADMIN_KEY, apiKey.key]) expect(output).not.toContain(secret);
    await wire.cut();
  });
});
