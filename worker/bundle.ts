/** The workflow bundle: what runs in the deterministic sandbox. Made once per process, or once per test run. */
import { resolve } from 'node:path';
import { bundleWorkflowCode, type WorkflowBundle } from '@temporalio/worker';
import { FAILURE_CONVERTER_PATH } from '../workflows/encoding';

interface BundleLog {
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** Bundles `workflows/index.ts` with the failure converter. A few seconds. */
export async function bundleWorkflows(log: BundleLog): Promise<WorkflowBundle> {
  const quiet = () => {};
  return bundleWorkflowCode({
    workflowsPath: resolve(__dirname, '../workflows/index.ts'),
    failureConverterPath: FAILURE_CONVERTER_PATH,
    logger: {
      log: quiet,
      trace: quiet,
      debug: quiet,
      info: quiet,
      warn: (message, fields) => log.warn(message, fields),
      error: (message, fields) => log.error(message, fields),
    },
  });
}
