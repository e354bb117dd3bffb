/** Child processes for tests that kill them. None outlives its parent: a child ends itself when its standard input closes. */
import { type ChildProcess, spawn } from 'node:child_process';
import { resolve } from 'node:path';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { Binary } from 'mongodb';
import type { Connection } from 'mongoose';
import { type KillPoint, type NamedKillPoint, SAYS_FD, type StepTold } from './kill-points';
import type { HubPlace } from './parts';

const SETTINGS_VARIABLE = 'TRADELANE_TEST_CHILD';
const START_LIMIT_MS = 120_000;

export interface ChildSettings {
  readonly place: HubPlace;
  readonly kill: KillPoint | NamedKillPoint | null;
}

export interface Child {
  readonly port: number;
  /** The steps it told of so far, in their order. */
  readonly steps: readonly StepTold[];
  /** Resolves with the signal that ended it; null where it ended by itself. */
  readonly ended: Promise<NodeJS.Signals | null>;
  kill(): Promise<void>;
}

const living = new Set<ChildProcess>();

/** Starts `test/support/child-<kind>.ts` and waits until it serves. */
export async function startChild(kind: 'worker' | 'api', settings: ChildSettings): Promise<Child> {
  const child = spawn(process.execPath, ['--import', 'tsx', resolve(__dirname, `child-${kind}.ts`)], {
    cwd: resolve(__dirname, '../..'),
    stdio: ['pipe', 'ignore', 'inherit', 'pipe'],
    env: { ...process.env, NODE_OPTIONS: '', [SETTINGS_VARIABLE]: JSON.stringify(settings) },
  });
  living.add(child);
  const steps: StepTold[] = [];
  const lines = createInterface({ input: child.stdio[SAYS_FD] as Readable });
  const allSaid = new Promise<void>((resolve) => lines.once('close', resolve));
  const ended = new Promise<NodeJS.Signals | null>((resolve) => {
    child.once('exit', (_code, signal) => {
      living.delete(child);
      void allSaid.then(() => resolve(signal));
    });
  });
  const port = await new Promise<number>((resolve, reject) => {
    const late = setTimeout(() => reject(new Error(`The ${kind} child did not start in time`)), START_LIMIT_MS);
    lines.on('line', (line) => {
      const said = JSON.parse(line) as { ready?: { port?: number }; at?: StepTold };
      if (said.at) steps.push(said.at);
      if (!said.ready) return;
      clearTimeout(late);
      resolve(said.ready.port ?? 0);
    });
    void ended.then((signal) => {
      clearTimeout(late);
      reject(new Error(`The ${kind} child ended at its start (${signal})`));
    });
  });
  return {
    port,
    steps,
    ended,
    async kill() {
      child.kill('SIGKILL');
      await ended;
    },
  };
}

/** For `afterAll`: ends what a failed test left. */
export async function endChildren(): Promise<void> {
  await Promise.all(
    [...living].map(
      (child) =>
        new Promise<void>((resolve) => {
          child.once('exit', () => resolve());
          child.kill('SIGKILL');
        }),
    ),
  );
}

/** In a child: what it was started with. From then on it ends when its parent does. */
export function childSettings(): ChildSettings {
  process.stdin.on('end', () => process.kill(process.pid, 'SIGKILL'));
  process.stdin.resume();
  return JSON.parse(process.env[SETTINGS_VARIABLE] ?? '') as ChildSettings;
}

/**
 * Ends the transactions that a killed child left open, whose documents are locked until then. A database does it by
 * itself, after a minute (MongoDB: transactionLifetimeLimitSeconds); a test need not wait for that each time.
 */
export async function endSessionsOf(child: Child, connection: Connection): Promise<void> {
  const sessions = new Set(child.steps.flatMap(({ session }) => session ?? []));
  const ids = [...sessions].map((id) => ({ id: new Binary(Buffer.from(id, 'base64'), Binary.SUBTYPE_UUID) }));
  await connection.getClient().db('admin').command({ killSessions: ids });
}
