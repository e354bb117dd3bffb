import { existsSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { loadConfig, VARIABLE_NAMES } from '../../config/env';
import { SEARCH_ATTRIBUTES } from '../../workflows/search-attributes';

const ROOT = resolve(__dirname, '../..');
const compose = readFileSync(join(ROOT, 'docker-compose.yml'), 'utf8');

/** The variables of one block of the file, given its first line. */
function environmentAfter(line: RegExp): Record<string, string> {
  const rest = compose
    .slice((line.exec(compose)?.index ?? compose.length) + 1)
    .split('\n')
    .slice(1);
  const end = rest.findIndex((text) => text !== '' && !/^\s+([A-Z][A-Z_]*: |<<: )/.test(text));
  const pairs = rest.slice(0, end).map((text) => /^\s+([A-Z][A-Z_]*): '?(.*?)'?$/.exec(text));
  return Object.fromEntries(pairs.flatMap((pair) => (pair ? [[pair[1] as string, pair[2] as string]] : [])));
}

describe('docker-compose.yml', () => {
  const common = environmentAfter(/^x-hub-environment:/m);
  const api = environmentAfter(/^ {4}environment:\n {6}<<: \*hub-environment\n {6}API_HOST/m);
  const worker = environmentAfter(/^ {4}environment:\n {6}<<: \*hub-environment\n {6}PUBLIC_URL/m);

  test('sets variables that the hub knows, to values that it takes', () => {
    const names = [common, api, worker].flatMap((environment) => Object.keys(environment));
    expect(names).toEqual(expect.arrayContaining(['ADMIN_KEY', 'MONGODB_URI', 'API_HOST', 'WORKER_METRICS_PORT']));
    expect(VARIABLE_NAMES).toEqual(expect.arrayContaining(names));
    const key = Buffer.alloc(32, 7).toString('base64');
    const secrets = { ADMIN_KEY: 'a'.repeat(24), DATA_KEYS: `k:${key}`, PAYLOAD_KEYS: `k:${key}` };
    const publicUrl = { PUBLIC_URL: 'http://localhost:8080' };
    expect(loadConfig({ ...common, ...api, ...secrets, ...publicUrl }).api.host).toBe('0.0.0.0');
    expect(loadConfig({ ...common, ...worker, ...secrets, ...publicUrl }).worker.metricsPort).toBe(9464);
  });

  test('makes the search attributes that the hub uses', () => {
    const made = /for name in ([\w ]+); do/.exec(compose)?.[1];
    expect(made?.split(' ')).toEqual([...SEARCH_ATTRIBUTES]);
  });
});

describe('the Dockerfile', () => {
  test('copies each room that runs in production, and none other', () => {
    const copied = [...readFileSync(join(ROOT, 'Dockerfile'), 'utf8').matchAll(/^COPY (\w+) \1$/gm)].map((m) => m[1]);
    expect(copied.sort()).toEqual(
      ['activities', 'api', 'config', 'connectors', 'domain', 'store', 'worker', 'workflows'].sort(),
    );
    const ignore = readFileSync(join(ROOT, '.dockerignore'), 'utf8').split('\n');
    expect(ignore).toEqual(expect.arrayContaining(copied.map((room) => `!${room}`)));
    expect(existsSync(join(ROOT, '.npmrc'))).toBe(true);
  });
});
