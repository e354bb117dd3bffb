/** The database as an engine: mongod as a replica set of one, or SecantusDB's server. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Db, MongoClient } from 'mongodb';
import { Engine } from './engine';

const PROBE_LIMIT_MS = 2000;
const REPLICA_SET = 'rs0';
const NOT_INITIATED = new Set([94, 93]);

export interface MongoOptions {
  readonly binary: string;
  /** The folder of its files; made where it is missing. */
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
  /** Loses no acknowledged write when it is killed, at a third of the speed. */
  readonly durable: boolean;
  readonly persistent: boolean;
}

export interface MongoEngine {
  readonly engine: Engine;
  readonly uri: string;
}

/** SecantusDB's server, not started yet. */
export function secantusEngine(options: MongoOptions): MongoEngine {
  const { binary, folder, logFile, port } = options;
  // With retryable writes it is three to five times slower.
  const uri = `mongodb://127.0.0.1:${port}/?directConnection=true&retryWrites=false`;
  const configFile = join(folder, 'secantusd.toml');
  const engine = new Engine({
    ...{ name: 'SecantusDB', binary, folder, port, logFile, farewell: options.persistent ? 'SIGTERM' : 'SIGKILL' },
    args: [
      ...['--config', configFile, '--host', '127.0.0.1', '--port', `${port}`, '--storage-path', join(folder, 'files')],
      ...['--cache-size', '512M', '--log-file-max', '128MB', '--log-level', 'WARNING'],
      ...(options.durable ? ['--sync-on-commit'] : []),
    ],
    // Change streams, which nobody reads here, would double what each commit syncs; and from 100,000 entries on each write
    // prunes the oldest ones at the cost of another (ADR 4). Its journal brings back what was committed without them.
    environment: { SECANTUS_DISABLE_OPLOG: '1' },
    probe: () => withAdmin(uri, async (admin) => void (await admin.command({ ping: 1 }))),
    prepare: () => writeFileSync(configFile, ''),
  });
  return { engine, uri };
}

/** mongod as a replica set of one (transactions need one), not started yet. */
export function mongodEngine(options: MongoOptions): MongoEngine {
  const { binary, folder, logFile, port } = options;
  const uri = `mongodb://127.0.0.1:${port}/?directConnection=true`;
  const engine = new Engine({
    ...{ name: 'MongoDB', binary, folder, port, logFile, farewell: options.persistent ? 'SIGTERM' : 'SIGKILL' },
    args: [
      ...['--dbpath', `${folder}/`, '--port', `${port}`, '--bind_ip', '127.0.0.1', '--replSet', REPLICA_SET],
      ...['--wiredTigerCacheSizeGB', '0.5', '--quiet'],
    ],
    probe: () => withAdmin(uri, (admin) => becomePrimary(admin, `127.0.0.1:${port}`)),
  });
  return { engine, uri };
}

/** Waits for a given MongoDB to answer; a server without transactions is refused. */
export async function checkGivenMongo(uri: string): Promise<void> {
  await withAdmin(uri, async (admin) => {
    const hello = await admin.command({ hello: 1 });
    if (hello.setName === undefined && hello.msg !== 'isdbgrid') {
      throw new Error('MONGODB_URI is neither a replica set nor a sharded cluster: the hub needs transactions');
    }
  });
}

async function withAdmin(uri: string, work: (admin: Db) => Promise<void>): Promise<void> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: PROBE_LIMIT_MS, connectTimeoutMS: PROBE_LIMIT_MS });
  try {
    await work(client.db('admin'));
  } finally {
    await client.close();
  }
}

/** One step towards a primary under this address; throws until the server is one. */
export async function becomePrimary(admin: Pick<Db, 'command'>, host: string): Promise<void> {
  const { config } = await admin.command({ replSetGetConfig: 1 }).catch(async (error: { code?: number }) => {
    if (!NOT_INITIATED.has(error.code ?? 0)) throw error;
    const initial = { _id: REPLICA_SET, members: [{ _id: 0, host }] };
    await admin.command({ replSetInitiate: initial });
    return { config: initial };
  });
  if (config.members[0].host !== host) {
    // The folder was last used on another port.
    const moved = { ...config, version: config.version + 1, members: [{ ...config.members[0], host }] };
    await admin.command({ replSetReconfig: moved, force: true });
  }
  const hello = await admin.command({ hello: 1 });
  if (hello.isWritablePrimary !== true) throw new Error('The replica set has no primary yet');
}
