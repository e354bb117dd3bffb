/** What the tests of one run share: the engines, and the workflow bundle. Made by global-setup.ts. */
import { readFileSync } from 'node:fs';

/** Names the file in which the setup says where everything is; jest's workers inherit it. */
export const ENVIRONMENT_FILE_VARIABLE = 'TRADELANE_TEST_ENVIRONMENT';

export interface TestEnvironment {
  readonly temporalAddress: string;
  readonly temporalUi?: string | undefined;
  readonly temporalNamespace: string;
  /** Without a database name; take a random one per test file. */
  readonly mongoUri: string;
  /** The bundled workflows, once there are any. */
  readonly workflowBundlePath?: string | undefined;
}

/** Where this run's engines are. Throws where they were not started. */
export function testEnvironment(): TestEnvironment {
  const file = process.env[ENVIRONMENT_FILE_VARIABLE];
  if (file === undefined) throw new Error('This test needs the engines, which test/support/global-setup.ts left out');
  return JSON.parse(readFileSync(file, 'utf8')) as TestEnvironment;
}
