import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { loadConfig } from '../../config/env';
import { BackOff } from '../../sandbox/supervisor/back-off';
import { Part } from '../../sandbox/supervisor/part';
import { keep, readKept, secretsOf, wantedPorts } from '../../sandbox/supervisor/settings';
import { eventually } from './eventually';

const folder = mkdtempSync(join(tmpdir(), 'tradelane-parts-'));
const said: string[] = [];
const parts: Part[] = [];

function newPart(what: string): Part {
  const part = new Part({
    name: 'Fake',
    entry: 'test/launcher/fake-part.ts',
    env: { PATH: process.env.PATH, FAKE_PART: what, FAKE_PART_MARK: join(folder, what) },
    preload: resolve(__dirname, '../../sandbox/supervisor/leave-with-parent.cjs'),
    logFile: join(folder, `${what}.log`),
    echo: false,
    say: (text) => said.push(text),
  });
  parts.push(part);
  return part;
}

afterAll(async () => {
  for (const part of parts) await part.kill();
  rmSync(folder, { recursive: true, force: true });
});

describe('a part of the hub under the supervisor', () => {
  test('is ended politely', async () => {
    const part = newPart('polite');
    await part.start();
    const pid = part.pid;
    await part.stop();
    expect(part.pid).toBeUndefined();
    expect(readFileSync(join(folder, 'polite.ended'), 'utf8')).toBe(String(pid));
  });

  test('that falls is started again, and that is said', async () => {
    const part = newPart('falling');
    await part.start();
    const first = part.pid as number;
    process.kill(first, 'SIGKILL');
    await eventually(() => {
      expect(part.pid).toBeDefined();
      expect(part.pid).not.toBe(first);
      expect(said).toContain('Fake serves again');
    });
    expect(said.some((text) => /Fake ended \(SIGKILL\); it starts again in 0\.5 s/.test(text))).toBe(true);
  });

  test('that ends at its start is reported with the end of its log, and not tried again', async () => {
    const part = newPart('broken');
    await expect(part.start()).rejects.toThrow(/Fake ended at its start:\nADMIN_KEY is required/);
    expect(part.pid).toBeUndefined();
    expect(said.some((text) => text.includes('broken'))).toBe(false);
  });

  test('that does not listen is ended by force', async () => {
    const part = newPart('stubborn');
    await part.start();
    await part.kill();
    expect(part.pid).toBeUndefined();
    expect(existsSync(join(folder, 'stubborn.ended'))).toBe(false);
  });
});

describe('the wait before a new start', () => {
  test('grows up to half a minute, and is short again after a good while', () => {
    const backOff = new BackOff();
    const start = 1_000_000;
    const waits = Array.from({ length: 9 }, (_, index) => backOff.nextMs(start + index));
    expect(waits).toEqual([500, 1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
    expect(backOff.nextMs(start + 100_000)).toBe(500);
  });
});

describe('what npm start makes up', () => {
  test('are secrets that the configuration takes, kept for their owner only', () => {
    const secrets = secretsOf(folder);
    expect(secretsOf(folder)).toEqual(secrets);
    const env = { ADMIN_KEY: secrets.adminKey, DATA_KEYS: secrets.dataKeys, PAYLOAD_KEYS: secrets.payloadKeys };
    const config = loadConfig({
      ...env,
      MONGODB_URI: 'mongodb://127.0.0.1',
      CODEC_PORT: '9',
      CODEC_KEY: secrets.codecKey,
    });
    expect(config.dataKeys[0]?.key).not.toEqual(config.payloadKeys[0]?.key);
  });

  test('are ports: named ones first, then those of the last start, then the usual ones', () => {
    expect(wantedPorts(folder, {}).api).toBe(8080);
    keep(folder, 'ports.json', { api: 8081, mongo: 27118 });
    expect(wantedPorts(folder, {})).toMatchObject({ api: 8081, mongo: 27118, temporal: 7233 });
    expect(wantedPorts(folder, { API_PORT: '9000' })).toMatchObject({ api: 9000, mongo: 27118 });
    expect(readKept(folder, 'nothing.json')).toBeUndefined();
  });
});
