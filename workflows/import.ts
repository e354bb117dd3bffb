import { CancellationScope, isCancellation, setHandler } from '@temporalio/workflow';
import type { ImportStep } from '../activities/imports';
import { failureWords, isRefusal } from './failures';
import { progress as progressQuery } from './messages';
import { installParking } from './parking';
import { importing, type RetryBudget, store } from './proxies';

export interface ImportInput {
  readonly import: string;
  readonly budget: RetryBudget;
}

type Step = (input: { import: string }) => Promise<ImportStep>;

/**
 * Works an import's file off. Contract: catalogue.md. Id `import/{import}`; query `progress`.
 *
 * The file is read to its end first, into batches; then the batches are applied, some at a time, each in one transaction,
 * so that a step that is repeated goes on at the batch where the killed one stopped. A file that can't be read ends it as
 * failed. When the tries are used up it parks: `retry` goes on, `abandon` (and a cancellation) stops it; what was applied
 * until then stays and can be undone.
 */
export async function importFile(input: ImportInput): Promise<void> {
  const stop = (status: 'failed' | 'abandoned', code: string, detail: string) =>
    store.stopImport({ import: input.import, status, code, detail });
  const steps = importing(input.budget);
  await work(input, false, [steps.readImport, steps.applyImport], stop);
}

/**
 * Restores what an import overwrote, the last rows first. Contract: catalogue.md. Id `import-undo/{import}`; query
 * `progress`. Parks and goes on as the import does; abandoned, it leaves the rest as it is.
 */
export async function importUndo(input: ImportInput): Promise<void> {
  const stop = (status: 'failed' | 'abandoned', code: string, detail: string) =>
    store.stopImportUndo({ import: input.import, status, code, detail });
  await work(input, true, [importing(input.budget).undoImport], stop);
}

async function work(
  input: ImportInput,
  undo: boolean,
  steps: readonly Step[],
  stop: (status: 'failed' | 'abandoned', code: string, detail: string) => Promise<void>,
): Promise<void> {
  const parking = installParking();
  let progress: ImportStep['progress'] = { done: 0, failed: 0, total: 0 };
  setHandler(progressQuery, () => progress, { description: 'Rows worked off, failed, and in all' });
  const go = async (step: Step): Promise<boolean> => {
    const result = await step({ import: input.import });
    progress = result.progress;
    return result.more;
  };
  const last = steps.at(-1) as Step;
  for (;;) {
    try {
      for (const step of steps.slice(0, -1)) if (!(await go(step))) return;
      while (await go(last));
      return;
    } catch (error) {
      if (isCancellation(error)) {
        await CancellationScope.nonCancellable(() => stop('abandoned', 'internal', 'the workflow was cancelled'));
        return;
      }
      const { code, detail } = failureWords(error);
      if (isRefusal(error)) {
        await stop('failed', code, detail);
        return;
      }
      const decision = await parking.wait(
        `The import stopped: ${detail}. Waits for **retry** (goes on where it stopped) or **abandon** (leaves it there).`,
        { onParked: () => store.parkImport({ import: input.import, undo, code, detail }) },
      );
      if (decision !== 'retry') {
        await stop('abandoned', code, detail);
        return;
      }
      await store.resumeImport({ import: input.import, undo });
    }
  }
}
