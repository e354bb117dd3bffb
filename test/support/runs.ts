/** The folders of test runs, outside the project: one per run, locked by it. */
import { existsSync, readdirSync } from 'node:fs';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { removeAbandoned } from '../../sandbox/engines';

const RUNS_FOLDER = join(tmpdir(), `tradelane-tests-${userInfo().uid}`);

/** The folder for a new run of this process. */
export function newRunFolder(): string {
  return join(RUNS_FOLDER, `${Date.now()}-${process.pid}`);
}

/** Ends the engines of runs that were killed, and removes their files. Runs that live are left alone. */
export async function endAbandonedRuns(): Promise<void> {
  if (!existsSync(RUNS_FOLDER)) return;
  for (const name of readdirSync(RUNS_FOLDER)) await removeAbandoned(join(RUNS_FOLDER, name));
}

if (require.main === module) void endAbandonedRuns();
