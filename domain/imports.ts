/**
 * Import files: which columns they have, what a row says, which rows contradict each other. Contract: catalogue.md,
 * Stock and Distribution products. Reading a file's bytes is `connectors/files`; what a row does is `store/`.
 */
import { CURRENCY_DECIMALS, type Currency, parseDecimal } from './money';

const IMPORT_KINDS = ['skus', 'prices'] as const;
export type ImportKind = (typeof IMPORT_KINDS)[number];
export const FILE_FORMATS = ['csv', 'xlsx'] as const;
export type FileFormat = (typeof FILE_FORMATS)[number];

/** The longest file, in bytes. */
export const IMPORT_FILE_BYTES = 50 * 1024 * 1024;
/** The most rows below the header. */
export const IMPORT_ROWS = 1_000_000;

/** The columns of each kind, in the order of an export. */
export const COLUMNS = {
  skus: ['sku', 'name', 'kind', 'components', 'distribution'],
  prices: ['sku', 'basePrice', 'level', 'price'],
} as const satisfies Record<ImportKind, readonly string[]>;

/** What a file must have; the other columns may be left out. */
const REQUIRED: Record<ImportKind, readonly string[]> = { skus: ['sku', 'name'], prices: ['sku'] };

/** Why a file can't be taken as a table at all. */
const FILE_PROBLEMS = [
  'empty',
  'not_utf8',
  'bad_csv',
  'not_xlsx',
  'encrypted',
  'truncated',
  'too_large_unpacked',
  'no_such_sheet',
  'no_header',
  'wrong_columns',
  'formula_cells',
  'merged_cells',
  'too_many_rows',
] as const;
export type FileProblem = (typeof FILE_PROBLEMS)[number];

/** What is wrong with one row; `column` is null where it is the row as a whole. */
export interface RowError {
  readonly line: number;
  readonly column: string | null;
  readonly code: string;
  readonly detail: string;
}

/** Cells of a row by column; a column that the file does not have is empty. */
export type Cells = Readonly<Record<string, string>>;

export interface Component {
  readonly sku: string;
  readonly quantity: number;
}

export interface SkuRow {
  readonly line: number;
  readonly sku: string;
  readonly name: string;
  /** Null where the file does not say: a single SKU, or whatever the SKU is already. */
  readonly components: readonly Component[] | null;
  /** True: distribution is to be on. False: the file says it is off. Null: it says nothing. */
  readonly distribution: boolean | null;
}

export interface PriceRow {
  readonly line: number;
  readonly sku: string;
  /** Minor units of the base currency; null leaves the base price as it is. */
  readonly basePrice: number | null;
  /** The level's name; empty: all levels. */
  readonly level: string;
  /** Minor units of the base currency; null leaves the SKU price as it is. */
  readonly price: number | null;
}

export type Parsed<Row> =
  | { readonly ok: true; readonly row: Row }
  | { readonly ok: false; readonly errors: RowError[] };

/**
 * Finds each column's place by its name, in any order, whatever its case.
 * @returns the places, or everything that is wrong with the header in one sentence
 */
export function readHeader(
  kind: ImportKind,
  header: readonly string[],
): { ok: true; places: ReadonlyMap<string, number> } | { ok: false; detail: string } {
  const known: readonly string[] = COLUMNS[kind];
  const places = new Map<string, number>();
  const unknown: string[] = [];
  const twice: string[] = [];
  // Spreadsheets like to leave empty columns at the end.
  const titles = header.slice(0, header.findLastIndex((title) => title.trim() !== '') + 1);
  for (const [place, title] of titles.entries()) {
    const name = known.find((one) => one.toLowerCase() === title.trim().toLowerCase());
    if (name === undefined) unknown.push(title.trim() === '' ? `(column ${place + 1} has no title)` : title.trim());
    else if (places.has(name)) twice.push(name);
    else places.set(name, place);
  }
  const missing = REQUIRED[kind].filter((name) => !places.has(name));
  const words = [
    ...(missing.length > 0 ? [`missing: ${missing.join(', ')}`] : []),
    ...(unknown.length > 0 ? [`unknown: ${unknown.slice(0, 20).join(', ').slice(0, 500)}`] : []),
    ...(twice.length > 0 ? [`twice: ${twice.join(', ')}`] : []),
  ];
  return words.length === 0
    ? { ok: true, places }
    : { ok: false, detail: `${words.join('; ')}. Columns are ${known.join(', ')}` };
}

const CONTROL = /[\p{Cc}\p{Cs}]/u;

/** What is wrong with a SKU's code, by the rules of the API; null where nothing is. */
export function skuCodeProblem(code: string): string | null {
  if (code === '') return 'is empty';
  if (code.length > 100) return 'is longer than 100 characters';
  if (CONTROL.test(code)) return 'holds control characters';
  if (code.trim() !== code) return 'begins or ends with a space';
  return null;
}

/** What is wrong with a SKU's name, by the rules of the API; null where nothing is. */
export function skuNameProblem(name: string): string | null {
  if (name.trim() === '') return 'is empty';
  if (name.length > 300) return 'is longer than 300 characters';
  return CONTROL.test(name) ? 'holds control characters' : null;
}

/** `A*2;B*1`; a backslash stands before a `*`, `;` or backslash that belongs to a code. */
export function formatComponents(components: readonly Component[]): string {
  return components.map(({ sku, quantity }) => `${sku.replaceAll(/[\\*;]/g, '\\$&')}*${quantity}`).join(';');
}

const COMPONENTS_MOST = 50;
const QUANTITY_MOST = 10_000;

/** The inverse of `formatComponents`. @returns the components, or what is wrong */
export function parseComponents(text: string): { ok: true; components: Component[] } | { ok: false; detail: string } {
  const components: Component[] = [];
  // An escaped character, or any other but the separator.
  for (const part of text.match(/(?:\\.|[^;\\])+/gsu) ?? []) {
    const [, escaped = '', digits = ''] = /^((?:\\.|[^*\\])+)\*\s*(\d{1,6})\s*$/su.exec(part.trim()) ?? [];
    const sku = escaped.trim().replaceAll(/\\(.)/gsu, '$1');
    const quantity = Number(digits);
    if (skuCodeProblem(sku) !== null || quantity < 1 || quantity > QUANTITY_MOST)
      return { ok: false, detail: 'must look like CODE*2;OTHER*1, with quantities from 1 to 10000' };
    if (components.some((one) => one.sku === sku)) return { ok: false, detail: `names ${sku} twice` };
    components.push({ sku, quantity });
  }
  if (components.length === 0 || components.length > COMPONENTS_MOST)
    return { ok: false, detail: `must name 1 to ${COMPONENTS_MOST} components` };
  return { ok: true, components };
}

const SWITCH: Readonly<Record<string, boolean | null>> = {
  '': null,
  on: true,
  true: true,
  yes: true,
  '1': true,
  off: false,
  false: false,
  no: false,
  '0': false,
};

/** Reads one row of a SKU file. */
export function parseSkuRow(line: number, cells: Cells): Parsed<SkuRow> {
  const errors: RowError[] = [];
  const wrong = (column: string, code: string, detail: string) => errors.push({ line, column, code, detail });
  const cell = (column: string) => cells[column] ?? '';
  const sku = cell('sku').trim();
  const name = cell('name');
  const codeProblem = skuCodeProblem(sku);
  if (codeProblem !== null) wrong('sku', sku === '' ? 'required' : 'invalid_value', codeProblem);
  const nameProblem = skuNameProblem(name);
  if (nameProblem !== null) wrong('name', name.trim() === '' ? 'required' : 'invalid_value', nameProblem);
  const kind = cell('kind').trim().toLowerCase();
  if (!['', 'single', 'combination'].includes(kind)) wrong('kind', 'invalid_value', 'must be single or combination');
  let components: readonly Component[] | null = kind === 'single' ? [] : null;
  if (cell('components').trim() !== '') {
    const read = parseComponents(cell('components'));
    if (!read.ok) wrong('components', 'invalid_value', read.detail);
    else if (kind === 'single') wrong('components', 'invalid_value', 'a single SKU has none');
    else if (read.components.some((part) => part.sku === sku))
      wrong('components', 'invalid_value', 'it contains itself');
    else components = read.components;
  } else if (kind === 'combination') wrong('components', 'required', 'a combination needs components');
  const distribution = SWITCH[cell('distribution').trim().toLowerCase()];
  if (distribution === undefined) wrong('distribution', 'invalid_value', 'must be on, off or empty');
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, row: { line, sku, name, components, distribution: distribution ?? null } };
}

/** Reads one row of a price file. Prices are in the base currency. */
export function parsePriceRow(line: number, cells: Cells, currency: Currency): Parsed<PriceRow> {
  const errors: RowError[] = [];
  const wrong = (column: string, code: string, detail: string) => errors.push({ line, column, code, detail });
  const cell = (column: string) => (cells[column] ?? '').trim();
  const sku = cell('sku');
  const codeProblem = skuCodeProblem(sku);
  if (codeProblem !== null) wrong('sku', sku === '' ? 'required' : 'invalid_value', codeProblem);
  const amount = (column: string): number | null => {
    const text = cell(column);
    if (text === '') return null;
    const read = /^\d{1,12}(\.\d+)?$/.test(text) ? parseDecimal(text, CURRENCY_DECIMALS[currency]) : null;
    if (read === null)
      wrong(
        column,
        'invalid_value',
        `must be an exact number such as ${CURRENCY_DECIMALS[currency] === 0 ? '1250' : '12.50'}, 0 or more, in ${currency}`,
      );
    return read;
  };
  const basePrice = amount('basePrice');
  const price = amount('price');
  const level = cell('level') === '' ? '' : (cells.level ?? '');
  if (level.length > 200 || CONTROL.test(level)) wrong('level', 'invalid_value', 'is no name of a level');
  if (errors.length > 0) return { ok: false, errors };
  return { ok: true, row: { line, sku, basePrice, level, price } };
}

/**
 * Notices the last of two rows for the same cell. It keeps one short entry per row of the file, whole codes only where
 * they are short.
 * @param digest shortens a long code without two codes becoming one
 */
export function createDuplicateFinder(kind: ImportKind, digest: (text: string) => string) {
  const seen = new Map<string, number>();
  const basePrices = new Map<string, { line: number; amount: number }>();
  const short = (text: string) => (text.length <= 24 ? text : `\u0000${digest(text)}`);

  function again(key: string, line: number): number | null {
    const first = seen.get(key);
    if (first === undefined) seen.set(key, line);
    return first ?? null;
  }

  return {
    /**
     * @param row anything with a line and what says which cell it is for, also a row that has other errors. Where its price
     * is null, it is for no SKU price's cell
     */
    check(row: {
      line: number;
      sku: string;
      level?: string;
      basePrice?: number | null;
      price?: number | null;
    }): RowError | null {
      const { line, sku, level = '' } = row;
      if (sku === '') return null;
      const code = short(sku);
      const cell = kind === 'skus' ? code : `${code}\n${short(level)}`;
      const first = kind === 'prices' && row.price === null ? null : again(cell, line);
      if (first !== null) {
        const what = kind === 'skus' ? sku : `${sku}${level === '' ? '' : `, level ${level}`}`;
        return { line, column: 'sku', code: 'duplicate_row', detail: `line ${first} is for ${what} already` };
      }
      if (row.basePrice == null) return null;
      const base = basePrices.get(code);
      if (base === undefined) basePrices.set(code, { line, amount: row.basePrice });
      else if (base.amount !== row.basePrice)
        return {
          line,
          column: 'basePrice',
          code: 'duplicate_row',
          detail: `line ${base.line} gives ${sku} another base price`,
        };
      return null;
    },
  };
}

/** What spreadsheets take for a formula at the beginning of a cell, also behind our own mark. */
const LOOKS_LIKE_FORMULA = /^'*[=+\-@\t\r]/;

/** Puts a `'` before a text that a spreadsheet would run as a formula. `unescapeFormula` takes it away again. */
export function escapeFormula(text: string): string {
  return LOOKS_LIKE_FORMULA.test(text) ? `'${text}` : text;
}

export function unescapeFormula(text: string): string {
  return text.startsWith("'") && LOOKS_LIKE_FORMULA.test(text) ? text.slice(1) : text;
}
