/** A file as a table with known columns, whatever its form. */
import { createHash } from 'node:crypto';
import {
  type Cells,
  COLUMNS,
  escapeFormula,
  type FileFormat,
  IMPORT_ROWS,
  type ImportKind,
  type RowError,
  readHeader,
  unescapeFormula,
} from '../../domain/imports';
import { readCsv, writeCsv } from './csv';
import { type ByteSource, readBytes, type TableRow, unreadable } from './source';
import { readXlsx, sheetNames, writeXlsx } from './xlsx';

export const MEDIA_TYPES: Readonly<Record<FileFormat, string>> = {
  csv: 'text/csv',
  xlsx: 'application/vnd.openxmlformats-officedocument.spreadsheetml.sheet',
};

export interface TableInput {
  readonly source: ByteSource;
  readonly kind: ImportKind;
  readonly format: FileFormat;
  /** XLSX: the first where it is null. */
  readonly sheet: string | null;
  /** The most rows below the header. */
  readonly rowsMost?: number;
}

/** A row by its columns' names, or what is wrong with its shape. */
export type NamedRow =
  | { readonly line: number; readonly cells: Cells; readonly error: null }
  | { readonly line: number; readonly cells: Cells; readonly error: RowError };

async function* rowsOf({ source, format, sheet }: TableInput): AsyncGenerator<TableRow> {
  if (format === 'xlsx') {
    yield* readXlsx(source, sheet);
    return;
  }
  if ((await readBytes(source, 0, 4)).toString('latin1') === 'PK\u0003\u0004')
    throw unreadable('bad_csv', `The file is no CSV but an archive; send XLSX with Content-Type: ${MEDIA_TYPES.xlsx}`);
  yield* readCsv(source);
}

/** The other sheets' names may say what went wrong. */
async function sheetHint({ source, format, sheet }: TableInput): Promise<string> {
  if (format === 'csv') return '';
  const names = await sheetNames(source);
  return names.length < 2
    ? ''
    : ` (${sheet === null ? 'the first sheet was read' : `sheet ${sheet}`}; the file has: ${names.join(', ')}; name one with ?sheet=)`;
}

/**
 * Reads the file from its beginning to its end. The header must be the first row that is not empty.
 * 422 `file_unreadable`, at the header or anywhere after it.
 */
export async function* readTable(input: TableInput): AsyncGenerator<NamedRow> {
  const { kind, format, rowsMost = IMPORT_ROWS } = input;
  let header: { places: ReadonlyMap<string, number>; width: number } | null = null;
  let count = 0;
  for await (const { line, cells } of rowsOf(input)) {
    if (header === null) {
      const read = readHeader(kind, cells);
      if (!read.ok)
        throw unreadable(
          'wrong_columns',
          `The header in line ${line} does not fit. ${read.detail}${await sheetHint(input)}`,
        );
      header = { places: read.places, width: cells.length };
      continue;
    }
    count += 1;
    if (count > rowsMost) throw unreadable('too_many_rows', `There are more than ${rowsMost} rows; send several files`);
    const { places, width } = header;
    const named = Object.fromEntries([...places].map(([name, place]) => [name, unescapeFormula(cells[place] ?? '')]));
    const beyond = cells.findLastIndex((cell) => cell.trim() !== '') >= width;
    // A sheet leaves out empty cells at the end; a line that does is cut off, or has a quote too many.
    const wrong = beyond || (format === 'csv' && cells.length < width);
    const detail = `the row has ${cells.length} cells, the header ${width}`;
    yield { line, cells: named, error: wrong ? { line, column: null, code: 'wrong_cell_count', detail } : null };
  }
  if (header === null) throw unreadable('no_header', `There is no header row${await sheetHint(input)}`);
}

/** Reads as far as the first row, so that what is wrong with the file from its beginning is known at once. */
export async function checkHead(input: TableInput): Promise<void> {
  for await (const _ of readTable(input)) return;
}

const NUMBER = /^-?\d+(\.\d+)?$/;
/** A cell that may hold an amount: a number is none of the formulas that are made harmless, whatever its sign. */
export const numberedCell = (text: string): string => (NUMBER.test(text) ? text : escapeFormula(text));

/** A table with any header (at most 26 columns) in either format. Its cells are written as they are: see `numberedCell`. */
export function writeFile(
  format: FileFormat,
  header: readonly string[],
  rows: AsyncIterable<readonly string[]>,
  sheetName: string,
): AsyncGenerator<Buffer> {
  async function* all() {
    yield header;
    yield* rows;
  }
  return format === 'csv' ? writeCsv(all()) : writeXlsx(all(), sheetName);
}

/** A table with any header as CSV. */
export function writeCells(header: readonly string[], rows: AsyncIterable<readonly string[]>): AsyncGenerator<Buffer> {
  async function* all() {
    yield header;
    for await (const row of rows) yield row.map(escapeFormula);
  }
  return writeCsv(all());
}

/** A table with the columns of its kind. */
export function writeTable(
  kind: ImportKind,
  format: FileFormat,
  rows: AsyncIterable<readonly string[]>,
): AsyncGenerator<Buffer> {
  async function* all() {
    yield COLUMNS[kind];
    for await (const row of rows) yield row.map(escapeFormula);
  }
  return format === 'csv' ? writeCsv(all()) : writeXlsx(all(), kind);
}

/** For `createDuplicateFinder`: 128 bits of a long code stand for it. */
export const shortDigest = (text: string): string => createHash('sha256').update(text).digest('base64').slice(0, 22);
