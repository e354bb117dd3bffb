/**
 * Runs once before all tests: starts throw-away engines and bundles the workflows. A run of nothing but tests that need
 * neither (`npx jest test/domain`) does without.
 */
import { existsSync, mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import type { Config } from 'jest';
import { type Engines, startEngines } from '../../sandbox/engines';
import { createSteps } from '../../scripts/steps.cjs';
import { ENVIRONMENT_FILE_VARIABLE, type TestEnvironment } from './environment';
import { endAbandonedRuns, newRunFolder } from './runs';

const WITHOUT_ENGINES = /(^|\/)test\/(config|domain|connectors|sandbox|borders)\b/;
const WORKFLOWS = resolve(__dirname, '../../workflows/index.ts');

type JestGlobalConfig = Pick<Config, never> & { testPathPatterns?: { patterns?: readonly string[] } };
/** What the teardown ends. Setup and teardown run in one process, but not in one module. */
export type TestRun = { engines: Engines; folder: string };
export const TEST_RUN = Symbol.for('tradelane.testRun');

export default async function globalSetup(jest: JestGlobalConfig): Promise<void> {
  const patterns = jest.testPathPatterns?.patterns ?? [];
  if (patterns.length > 0 && patterns.every((pattern) => WITHOUT_ENGINES.test(pattern))) return;
  const steps = createSteps(process.stderr);
  await endAbandonedRuns();
  const folder = newRunFolder();
  const engines = await startEngines({ dataDir: folder, persistent: false, steps });
  const run: TestRun = { engines, folder };
  Object.assign(globalThis, { [TEST_RUN]: run });
  for (const signal of ['SIGINT', 'SIGTERM'] as const) {
    process.once(signal, () => void endTestRun().finally(() => process.exit(1)));
  }
  const environment: TestEnvironment = {
    temporalAddress: engines.temporalAddress,
    temporalUi: engines.temporalUi,
    temporalNamespace: process.env.TEMPORAL_NAMESPACE || 'default',
    mongoUri: engines.mongoUri,
    workflowBundlePath: existsSync(WORKFLOWS)
      ? await steps.step('Bundle the workflows', () => bundleWorkflows(join(folder, 'bundle/workflows.js')))
      : undefined,
  };
  const file = join(folder, 'test-environment.json');
  writeFileSync(file, JSON.stringify(environment));
  process.env[ENVIRONMENT_FILE_VARIABLE] = file;
}

async function bundleWorkflows(file: string): Promise<string> {
  const { bundleWorkflows: bundle } = await import('../../worker/bundle');
  const { code } = (await bundle(console)) as { code: string };
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, code);
  return file;
}

/** Ends the engines of this run, if it started any, and removes its files. */
export async function endTestRun(): Promise<void> {
  const run = (globalThis as { [TEST_RUN]?: TestRun })[TEST_RUN];
  if (run === undefined) return;
  await run.engines.stop();
  rmSync(run.folder, { recursive: true, force: true });
}
