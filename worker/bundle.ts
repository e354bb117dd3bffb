/** The workflow bundle: what runs in the deterministic sandbox. Made once per process, or once per test run. */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { bundleWorkflowCode } from '@temporalio/worker';
import { FAILURE_CONVERTER_PATH } from '../workflows/encoding';

interface BundleLog {
  warn(message: string, fields?: Record<string, unknown>): void;
  error(message: string, fields?: Record<string, unknown>): void;
}

/** Bundles `workflows/index.ts` with the failure converter. A few seconds. */
export async function bundleWorkflows(log: BundleLog): Promise<{ code: string }> {
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

/** The same, made by a process of its own, so that this one never needs the memory that bundling takes. */
export async function bundleWorkflowsApart(log: BundleLog): Promise<{ code: string }> {
  const folder = mkdtempSync(join(tmpdir(), 'tradelane-bundle-'));
  try {
    const file = join(folder, 'workflows.js');
    const { stderr } = await promisify(execFile)(process.execPath, [
      ...['--import', 'tsx'],
      resolve(__dirname, 'bundle-main.ts'),
      file,
    ]);
    if (stderr !== '') log.warn(stderr.trim());
    return { code: readFileSync(file, 'utf8') };
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}
