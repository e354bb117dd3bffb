/**
 * XLSX, read and written row by row. read-excel-file and write-excel-file hold the whole sheet (650 MB to write 100,000
 * rows) and don't tell formulas and merged cells from values; the tests hold both ends against them.
 */
import { posix } from 'node:path';
import { IMPORT_ROWS } from '../../domain/imports';
import { type ByteSource, readBytes, type TableRow, unreadable } from './source';
import { decodeEscapes, readXml } from './xml';
import { openZip, writeZip, type Zip } from './zip';

/** All texts of a file are held while it is read. Bytes, unpacked, with their marks. */
const TEXTS_PART_MOST = 128 * 1024 * 1024;
/** A code and a name of their own for each row, and the header. */
const TEXTS_MOST = 2 * IMPORT_ROWS + 1_000;
/** All of them together. Characters. */
const TEXTS_LENGTH_MOST = 64 * 1024 * 1024;
/** Parts that say what the others are. Bytes, unpacked. */
const SMALL_PART_MOST = 4 * 1024 * 1024;
const COLUMNS_MOST = 1_000;
const CELL_MOST = 64 * 1024;
/** How many places of a trouble are named. */
const NAMED_MOST = 5;

interface Sheet {
  readonly name: string;
  readonly part: string;
}

async function attributesOf(zip: Zip, part: string, element: string, names: readonly string[]) {
  const found: Record<string, string | undefined>[] = [];
  const events = {
    open(name: string, attribute: (wanted: string) => string | undefined) {
      if (name === element) found.push(Object.fromEntries(names.map((one) => [one, attribute(one)])));
    },
  };
  for await (const _ of readXml(zip.read(part, SMALL_PART_MOST), events));
  return found;
}

/** The parts that a part refers to, by id and by kind. */
async function relationsOf(zip: Zip, part: string) {
  const place = posix.join(posix.dirname(part), '_rels', `${posix.basename(part)}.rels`);
  if (!zip.has(place)) return [];
  const rows = await attributesOf(zip, place, 'Relationship', ['Id', 'Type', 'Target']);
  return rows.map(({ Id = '', Type = '', Target = '' }) => ({
    id: Id,
    kind: posix.basename(Type),
    part: Target.startsWith('/') ? Target.slice(1) : posix.join(posix.dirname(part), Target),
  }));
}

async function openWorkbook(source: ByteSource): Promise<{ zip: Zip; sheets: Sheet[]; textsPart: string | undefined }> {
  const magic = await readBytes(source, 0, 4);
  if (source.size === 0) throw unreadable('empty', 'The file is empty');
  if (magic.equals(Buffer.from([0xd0, 0xcf, 0x11, 0xe0])))
    throw unreadable('encrypted', 'The file is encrypted or in the old .xls form; save it as .xlsx without a password');
  if (magic.toString('latin1', 0, 2) !== 'PK')
    throw unreadable('not_xlsx', 'The file is no XLSX file; send CSV with Content-Type: text/csv');
  const zip = await openZip(source);
  const root = await relationsOf(zip, '');
  const workbook = root.find(({ kind }) => kind === 'officeDocument')?.part ?? 'xl/workbook.xml';
  const relations = await relationsOf(zip, workbook);
  const rows = await attributesOf(zip, workbook, 'sheet', ['name', 'id']);
  const sheets = rows.flatMap(({ name = '', id }) => {
    const part = relations.find((one) => one.id === id && one.kind === 'worksheet')?.part;
    return part === undefined ? [] : [{ name, part }];
  });
  return { zip, sheets, textsPart: relations.find(({ kind }) => kind === 'sharedStrings')?.part };
}

async function readTexts(zip: Zip, part: string | undefined): Promise<string[]> {
  const texts: string[] = [];
  let length = 0;
  if (part === undefined || !zip.has(part)) return texts;
  let text = '';
  let inText = false;
  // How a word is pronounced stands beside it and is no part of it.
  let inPhonetic = false;
  const events = {
    open(name: string) {
      if (name === 'si') text = '';
      else if (name === 'rPh') inPhonetic = true;
      else if (name === 't') inText = !inPhonetic;
    },
    close(name: string) {
      if (name === 'rPh') inPhonetic = false;
      else if (name === 't') inText = false;
      if (name === 'si') {
        length += text.length;
        // A few bytes make very many of them, which are held before the first row is seen.
        if (texts.length >= TEXTS_MOST || length > TEXTS_LENGTH_MOST)
          throw unreadable('too_large_unpacked', 'The file holds more texts than a table can have; send several files');
        texts.push(decodeEscapes(text));
      }
    },
    text(piece: string) {
      if (!inText) return;
      text += piece;
      if (text.length > CELL_MOST) throw unreadable('not_xlsx', 'A text of the file is too long');
    },
  };
  for await (const _ of readXml(zip.read(part, TEXTS_PART_MOST), events));
  return texts;
}

/** Places of one kind of trouble: the first few, and how many. */
function createPlaces() {
  const named: string[] = [];
  let count = 0;
  return {
    add(place: string) {
      count += 1;
      if (named.length < NAMED_MOST) named.push(place);
    },
    get words(): string | null {
      if (count === 0) return null;
      return `${named.join(', ')}${count > named.length ? ` and ${count - named.length} more` : ''}`;
    },
  };
}

/** 0 for `A7`. */
function columnOf(reference: string): number {
  let column = 0;
  for (const letter of reference) {
    const value = letter.charCodeAt(0) - 64;
    if (value < 1 || value > 26) break;
    column = column * 26 + value;
  }
  return column - 1;
}

/** Files hold 17 digits of a number where people typed three. */
function numberText(text: string): string {
  const value = Number(text);
  return text === '' || Number.isNaN(value) ? text : String(value);
}

function createSheetEvents(texts: readonly string[]) {
  const formulas = createPlaces();
  const merged = createPlaces();
  let rows: TableRow[] = [];
  let line = 0;
  let cells: string[] = [];
  let column = -1;
  let reference = '';
  let type = '';
  let value = '';
  let taking = false;

  function endCell(): void {
    const text =
      type === 's'
        ? (texts[Number(value)] ?? '')
        : type === 'b'
          ? value === '1'
            ? 'TRUE'
            : 'FALSE'
          : type === '' || type === 'n'
            ? numberText(value)
            : decodeEscapes(value);
    if (column >= COLUMNS_MOST) {
      if (text !== '')
        throw unreadable('wrong_columns', `There are more than ${COLUMNS_MOST} columns, at ${reference}`);
      return;
    }
    while (cells.length < column) cells.push('');
    cells[column] = text;
  }

  return {
    formulas,
    merged,
    /** The rows since it was asked last. */
    take(): TableRow[] {
      const taken = rows;
      rows = [];
      return taken;
    },
    events: {
      open(name: string, attribute: (wanted: string) => string | undefined) {
        if (name === 'row') {
          line = Number(attribute('r') ?? line + 1);
          cells = [];
          column = -1;
        } else if (name === 'c') {
          reference = attribute('r') ?? '';
          column = reference === '' ? column + 1 : columnOf(reference);
          type = attribute('t') ?? '';
          value = '';
        } else if (name === 'v' || name === 't') taking = true;
        else if (name === 'f') formulas.add(reference || `row ${line}`);
        else if (name === 'mergeCell') merged.add(attribute('ref') ?? '?');
      },
      close(name: string) {
        if (name === 'v' || name === 't') taking = false;
        else if (name === 'c') endCell();
        else if (name === 'row' && cells.some((cell) => cell.trim() !== '')) rows.push({ line, cells });
      },
      text(piece: string) {
        if (!taking) return;
        value += piece;
        if (value.length > CELL_MOST) throw unreadable('not_xlsx', `The cell ${reference} holds too long a text`);
      },
    },
  };
}

/**
 * The rows of one sheet (the first, where none is named), empty ones left out. Formulas and merged cells are told at the
 * end, all at once, so whoever applies rows reads to the end first.
 */
export async function* readXlsx(source: ByteSource, sheetName: string | null): AsyncGenerator<TableRow> {
  const { zip, sheets, textsPart } = await openWorkbook(source);
  const sheet = sheetName === null ? sheets[0] : sheets.find(({ name }) => name === sheetName);
  if (!sheet) {
    const names = sheets.map(({ name }) => name).join(', ');
    throw unreadable('no_such_sheet', `There is no sheet ${sheetName ?? ''}; the file has: ${names || 'none'}`);
  }
  const reading = createSheetEvents(await readTexts(zip, textsPart));
  for await (const _ of readXml(zip.read(sheet.part), reading.events)) yield* reading.take();
  yield* reading.take();
  if (reading.formulas.words !== null)
    throw unreadable('formula_cells', `Cells hold formulas: ${reading.formulas.words}. Paste them as values`);
  if (reading.merged.words !== null)
    throw unreadable('merged_cells', `Cells are merged: ${reading.merged.words}. Take them apart`);
}

/** The names of a file's sheets. */
export async function sheetNames(source: ByteSource): Promise<string[]> {
  return (await openWorkbook(source)).sheets.map(({ name }) => name);
}

const HEAD = '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n';
const MAIN = 'http://schemas.openxmlformats.org/spreadsheetml/2006/main';
const RELATIONS = 'http://schemas.openxmlformats.org/package/2006/relationships';
const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
const TYPES = 'application/vnd.openxmlformats-officedocument.spreadsheetml';

const escapeXml = (text: string) =>
  text
    .replaceAll(/_x[\dA-Fa-f]{4}_/g, (found) => `_x005F${found}`)
    // biome-ignore lint/suspicious/noControlCharactersInRegex: XML has no way to write them
    .replaceAll(/[\u0000-\u0008\u000b\u000c\u000e-\u001f\ufffe\uffff]/g, '')
    .replaceAll('&', '&amp;')
    .replaceAll('<', '&lt;')
    .replaceAll('>', '&gt;')
    .replaceAll('\r', '&#13;');

const letterOf = (column: number) => String.fromCharCode(65 + column);
/** Rows that are packed at once. */
const ROWS_AT_ONCE = 200;

async function* sheetXml(rows: AsyncIterable<readonly string[]>): AsyncGenerator<string> {
  yield `${HEAD}<worksheet xmlns="${MAIN}"><sheetData>`;
  let line = 0;
  let text = '';
  for await (const cells of rows) {
    line += 1;
    const inner = cells
      .map((cell, column) =>
        cell === ''
          ? ''
          : `<c r="${letterOf(column)}${line}" t="inlineStr"><is><t xml:space="preserve">${escapeXml(cell)}</t></is></c>`,
      )
      .join('');
    text += `<row r="${line}">${inner}</row>`;
    if (line % ROWS_AT_ONCE !== 0) continue;
    yield text;
    text = '';
  }
  yield `${text}</sheetData></worksheet>`;
}

/** A table of at most 26 columns as XLSX, every cell a text, as it comes. */
export function writeXlsx(rows: AsyncIterable<readonly string[]>, sheetName: string): AsyncGenerator<Buffer> {
  const relation = (target: string, kind: string) =>
    `${HEAD}<Relationships xmlns="${RELATIONS}"><Relationship Id="rId1" Type="${OFFICE}/${kind}" Target="${target}"/></Relationships>`;
  return writeZip([
    {
      name: '[Content_Types].xml',
      content: `${HEAD}<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types"><Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/><Default Extension="xml" ContentType="application/xml"/><Override PartName="/xl/workbook.xml" ContentType="${TYPES}.sheet.main+xml"/><Override PartName="/xl/worksheets/sheet1.xml" ContentType="${TYPES}.worksheet+xml"/></Types>`,
    },
    { name: '_rels/.rels', content: relation('xl/workbook.xml', 'officeDocument') },
    {
      name: 'xl/workbook.xml',
      content: `${HEAD}<workbook xmlns="${MAIN}" xmlns:r="${OFFICE}"><sheets><sheet name="${escapeXml(sheetName)}" sheetId="1" r:id="rId1"/></sheets></workbook>`,
    },
    { name: 'xl/_rels/workbook.xml.rels', content: relation('worksheets/sheet1.xml', 'worksheet') },
    { name: 'xl/worksheets/sheet1.xml', content: sheetXml(rows) },
  ]);
}
