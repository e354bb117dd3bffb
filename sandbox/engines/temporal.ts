/** Temporal's dev server as an engine. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { hasSearchAttributes, registerSearchAttributes, SEARCH_ATTRIBUTES } from '../../workflows/search-attributes';
import { Engine } from './engine';

const NAMESPACE = 'default';
const PROBE_LIMIT_MS = 2000;

export interface TemporalOptions {
  readonly binary: string;
  /** The folder of its files; made where it is missing. */
  readonly folder: string;
  readonly logFile: string;
  readonly port: number;
  readonly uiPort: number;
  /** Keeps workflows over restarts; without it all is in memory and gone with the process. */
  readonly durable: boolean;
  readonly persistent: boolean;
  readonly uiCodecEndpoint: string | undefined;
}

/** The dev server, not started yet. */
export function temporalEngine(options: TemporalOptions): Engine {
  const configFile = join(options.folder, 'cli.toml');
  const storage = options.durable
    ? [
        ...['--db-filename', join(options.folder, 'temporal.db')],
        // Without the two a file halves its speed.
        ...['--sqlite-pragma', 'journal_mode=wal', '--sqlite-pragma', 'synchronous=normal'],
      ]
    : [];
  return new Engine({
    name: 'Temporal',
    binary: options.binary,
    folder: options.folder,
    port: options.port,
    logFile: options.logFile,
    farewell: options.persistent ? 'SIGTERM' : 'SIGKILL',
    args: [
      ...['server', 'start-dev', '--ip', '127.0.0.1', '--port', `${options.port}`, '--ui-port', `${options.uiPort}`],
      ...SEARCH_ATTRIBUTES.flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
      ...storage,
      ...(options.uiCodecEndpoint === undefined ? [] : ['--ui-codec-endpoint', options.uiCodecEndpoint]),
      ...['--ui-disable-news-fetch', '--log-level', 'warn', '--config-file', configFile],
    ],
    probe: () => probe(`127.0.0.1:${options.port}`),
    prepare: () => writeFileSync(configFile, ''),
  });
}

async function probe(address: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: PROBE_LIMIT_MS });
  try {
    await connection.workflowService.describeNamespace({ namespace: NAMESPACE });
    if (!(await hasSearchAttributes(connection, NAMESPACE))) throw new Error('The search attributes are not there yet');
  } finally {
    await connection.close();
  }
}

/** Makes a given Temporal server ready for the hub: its search attributes. Throws when it does not answer. */
export async function prepareGivenTemporal(address: string, namespace: string): Promise<void> {
  const connection = await Connection.connect({ address, connectTimeout: 10_000 });
  try {
    await registerSearchAttributes(connection, namespace);
  } finally {
    await connection.close();
  }
}
