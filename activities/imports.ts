/** The steps of an import: read the file into batches, apply them, undo them. Each goes on where a killed one stopped. */
import { setTimeout as pause } from 'node:timers/promises';
import { IMPORT_HEARTBEAT_MS } from '../config/timeouts';
import { readTable, shortDigest } from '../connectors/files/table';
import { type FailureCode, HubError, isHubError } from '../domain/failures';
import { newId } from '../domain/ids';
import {
  createDuplicateFinder,
  type ImportKind,
  parsePriceRow,
  parseSkuRow,
  type RowError,
  skuCodeProblem,
} from '../domain/imports';
import type { ImportDoc } from '../store/models/documents';
import { type ImportRow, importId, importUndoId, type Planned } from '../store/repositories/imports';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

/** Rows of one batch: one transaction. */
const BATCH_ROWS = 500;
/** A step ends after this long, so that the workflow knows how far it is. Milliseconds. */
const STEP_MS = 5_000;
/** Combinations are applied after all single SKUs, whatever their order in the file: their batches are numbered from here. */
const SETS_FROM = 10_000_000;

/** Where an import is; what its query answers. */
export interface ImportStep {
  readonly more: boolean;
  readonly progress: { readonly done: number; readonly failed: number; readonly total: number };
}

const progressOf = ({ rows }: ImportDoc): ImportStep['progress'] => ({
  done: rows.changed + rows.unchanged,
  failed: rows.failed,
  total: rows.total,
});

export function createImportActivities({ store, processes, heartbeat, logger }: ActivityDeps) {
  const { imports } = store;
  const alive = <T>(work: () => Promise<T>): Promise<T> => whileAlive(heartbeat, work, IMPORT_HEARTBEAT_MS / 5);

  async function read(row: ImportDoc): Promise<void> {
    const reading = newId('job');
    const parse = parserOf(row);
    const source = await store.files.open(row.account, row.file);
    const duplicates = createDuplicateFinder(row.kind, shortDigest);
    const singles = createGatherer((number, body) => imports.addBatch(row, reading, number, body), 0);
    const sets = createGatherer((number, body) => imports.addBatch(row, reading, number, body), SETS_FROM);
    let total = 0;
    for await (const { line, cells, error } of readTable({ ...row, source })) {
      total += 1;
      if (error) {
        await singles.fail([error]);
        continue;
      }
      const parsed = parse(line, cells);
      const double = duplicates.check(parsed.ok ? parsed.row : { line, ...cellOf(row.kind, cells) });
      if (!parsed.ok) await singles.fail(double === null ? parsed.errors : [...parsed.errors, double]);
      else if (double) await singles.fail([double]);
      else if ('components' in parsed.row && (parsed.row.components?.length ?? 0) > 0) await sets.add(parsed.row);
      else await singles.add(parsed.row);
    }
    await singles.end();
    await sets.end();
    await imports.endReading(row, reading, total);
  }

  /** Starts publications; what can't be started now is the sweep's. */
  function publish(supplier: string, publications: readonly { sku: string; attempt: number }[]): void {
    for (const { sku, attempt } of publications)
      processes.startPublication(supplier, sku, attempt).catch((error: unknown) =>
        logger.warn('left to the sweep', {
          what: 'publication',
          error: error instanceof Error ? error.message : 'unknown',
        }),
      );
  }

  /** @param until when to stop, or never */
  async function applyBatches(id: string, until: number): Promise<ImportStep> {
    let row = await imports.byId(id);
    const singles = new Set<string>();
    const basePrices = new Map<string, number>();
    let planned: Planned | null = row.dryRun ? { singles, products: 0, basePrices } : null;
    if (row.dryRun) await imports.restartDryRun(row);
    while (row.status === 'running') {
      const batch = await imports.nextBatch(row);
      if (batch === null) {
        await imports.end(id);
        return { more: false, progress: progressOf(row) };
      }
      const applied = await imports.applyBatch(row, batch, planned);
      publish(row.account, row.dryRun ? [] : applied.publications);
      if (planned) {
        for (const sku of applied.madeSingles) singles.add(sku);
        for (const change of applied.changes)
          if ('basePrice' in change && change.basePrice !== null) basePrices.set(change.sku, change.basePrice.after);
        planned = { singles, products: planned.products + applied.madeProducts, basePrices };
      }
      row = await imports.byId(id);
      await store.operations.progress(importId(id), progressOf(row));
      if (!row.dryRun && Date.now() > until) return { more: true, progress: progressOf(row) };
    }
    return { more: false, progress: progressOf(row) };
  }

  return {
    /** Reads the whole file, before anything is changed. What can't be read ends the import here. */
    async readImport({ import: id }: { import: string }): Promise<ImportStep> {
      const row = await imports.byId(id);
      try {
        if (row.status === 'running' && row.reading === null) await alive(() => read(row));
      } catch (error) {
        if (!isHubError(error) || error.retryable) throw error;
        // Another try that went on may have read it to the end, and removed the file below this one.
        const now = await imports.byId(id);
        if (now.reading !== null) return { more: now.status === 'running', progress: progressOf(now) };
        const problem = (error.extra.members?.problem as string | undefined) ?? null;
        await imports.stop(id, 'failed', { code: error.code, detail: error.detail, problem });
      }
      const after = await imports.byId(id);
      return { more: after.status === 'running', progress: progressOf(after) };
    },

    /** Applies batches for a few seconds; a dry run all at once, since its batches build on each other in memory only. */
    applyImport: ({ import: id }: { import: string }): Promise<ImportStep> =>
      alive(() => applyBatches(id, Date.now() + STEP_MS)),

    /** Undoes batches for a few seconds, the last first. */
    undoImport: ({ import: id }: { import: string }): Promise<ImportStep> =>
      alive(async () => {
        const until = Date.now() + STEP_MS;
        for (;;) {
          const row = await imports.byId(id);
          const { restored = 0, left = 0 } = row.undo ?? {};
          const progress = { done: restored, failed: left, total: row.rows.changed };
          if (row.undo?.status !== 'running') return { more: false, progress };
          const batch = await imports.lastBatch(row);
          if (batch === null) {
            await imports.endUndo(id);
            return { more: false, progress };
          }
          if (Date.now() > until) return { more: true, progress };
          await imports.undoBatch(row, batch);
          await store.operations.progress(importUndoId(id), progress);
          // Others have their turn, too.
          await pause(0);
        }
      }),

    async parkImport(input: { import: string; undo: boolean; code: string; detail: string }): Promise<void> {
      const workflowId = input.undo ? importUndoId(input.import) : importId(input.import);
      await store.operations.end(null, workflowId, 'parked', {
        error: { code: input.code as FailureCode, detail: input.detail },
      });
    },

    async resumeImport(input: { import: string; undo: boolean }): Promise<void> {
      const workflowId = input.undo ? importUndoId(input.import) : importId(input.import);
      const { account } = await imports.byId(input.import);
      await store.operations.begin(null, {
        workflowId,
        kind: input.undo ? 'import_undo' : 'import',
        accounts: [account],
        document: input.import,
      });
    },

    /** Ends an import that can't go on, with the words that say why. */
    async stopImport(input: {
      import: string;
      status: 'failed' | 'abandoned';
      code: string;
      detail: string;
    }): Promise<void> {
      const failure = { code: input.code as FailureCode, detail: input.detail, problem: null };
      await imports.stop(input.import, input.status, failure);
    },

    /** Ends an undo that can't go on; the rows that it did not come to stay as they are until it is begun again. */
    async stopImportUndo(input: {
      import: string;
      status: 'failed' | 'abandoned';
      code: string;
      detail: string;
    }): Promise<void> {
      await imports.stopUndo(input.import, input.status, { code: input.code as FailureCode, detail: input.detail });
    },
  };
}

/** Turns cells into a row, for the kind of the import. */
function parserOf({ kind, currency }: ImportDoc) {
  if (kind === 'skus') return parseSkuRow;
  if (currency === null) throw new HubError('setup_incomplete', 'Set the base currency first');
  return (line: number, cells: Parameters<typeof parsePriceRow>[1]) => parsePriceRow(line, cells, currency);
}

/** Of a row that can't be taken: which cell it is for, where it says so. */
function cellOf(
  kind: ImportKind,
  cells: Readonly<Record<string, string>>,
): { sku: string; level?: string; price?: null } {
  const sku = (cells.sku ?? '').trim();
  const known = skuCodeProblem(sku) === null ? sku : '';
  return kind === 'skus'
    ? { sku: known }
    : {
        sku: known,
        level: cells.level?.trim() === '' ? '' : (cells.level ?? ''),
        ...((cells.price ?? '').trim() === '' ? { price: null } : {}),
      };
}

/** Gathers rows into batches. */
function createGatherer(
  write: (number: number, body: { rows: ImportRow[]; errors: RowError[] }) => Promise<void>,
  from: number,
) {
  let number = from;
  let rows: ImportRow[] = [];
  let errors: RowError[] = [];
  async function flush(atLeast: number): Promise<void> {
    if (rows.length + errors.length < atLeast) return;
    await write(number, { rows, errors });
    number += 1;
    rows = [];
    errors = [];
  }
  return {
    async add(row: ImportRow): Promise<void> {
      rows.push(row);
      await flush(BATCH_ROWS);
    },
    async fail(wrong: readonly RowError[]): Promise<void> {
      errors.push(...wrong);
      await flush(BATCH_ROWS);
    },
    end: () => flush(1),
  };
}
