/** What the rows of each kind of import do, and how that is undone. */
import type { ClientSession } from 'mongoose';
import type { RowError } from '../../domain/imports';
import type { Currency } from '../../domain/money';

/** What every change of an import says of itself; each kind adds what its undo needs. */
export interface RowChange {
  readonly line: number;
  readonly sku: string;
}

/** A row that the undo leaves as it is, and why. */
export interface RowLeft {
  readonly line: number;
  readonly sku: string;
  readonly detail: string;
}

export interface ApplyContext {
  readonly account: string;
  readonly import: string;
  readonly mayDistribute: boolean;
  /** The currency that the file's amounts were read in. */
  readonly currency: Currency | null;
  /** In a dry run: what earlier batches would have made. Null where they really did. */
  readonly planned: Planned | null;
}

export interface Planned {
  /** SKUs that would be single SKUs by now. */
  readonly singles: ReadonlySet<string>;
  readonly products: number;
  /** Base prices that products would have by now, by SKU. */
  readonly basePrices: ReadonlyMap<string, number>;
}

export interface Applied<Change extends RowChange> {
  readonly changes: Change[];
  readonly errors: RowError[];
  readonly unchanged: number;
  /** Publications to start after the commit. */
  readonly publications: { sku: string; attempt: number }[];
  /** What a dry run adds to `Planned`. */
  readonly madeSingles: string[];
  readonly madeProducts: number;
}

/** One kind of row. Both run inside a transaction and may run several times. */
export interface RowKind<Row, Change extends RowChange> {
  apply(session: ClientSession, context: ApplyContext, rows: readonly Row[]): Promise<Applied<Change>>;
  /** Restores what the rows overwrote, where it is still as they left it. @returns the others */
  revert(session: ClientSession, account: string, changes: readonly Change[], why: string): Promise<RowLeft[]>;
}
