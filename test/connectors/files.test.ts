/** Files that people bring: read row by row, broken ones named. The libraries for XLSX are held against our own ends. */
import { readSheet } from 'read-excel-file/node';
import writeExcel from 'write-excel-file/node';
import { sniffSeparator } from '../../connectors/files/csv';
import { type ByteSource, sourceOf } from '../../connectors/files/source';
import { type MEDIA_TYPES, type NamedRow, readTable, type TableInput, writeTable } from '../../connectors/files/table';
import { IMPORT_ROWS } from '../../domain/imports';
import { HEADER, OFFICE, text, workbook, xlsx, zipOf } from '../support/workbooks';

type Format = keyof typeof MEDIA_TYPES;

async function rowsOf(bytes: Buffer | ByteSource, format: Format, more: Partial<TableInput> = {}): Promise<NamedRow[]> {
  const source = Buffer.isBuffer(bytes) ? sourceOf(bytes) : bytes;
  const rows: NamedRow[] = [];
  for await (const row of readTable({ source, kind: 'skus', format, sheet: null, ...more })) rows.push(row);
  return rows;
}
const cellsOf = async (bytes: Buffer, format: Format, more: Partial<TableInput> = {}) =>
  (await rowsOf(bytes, format, more)).map(({ line, cells }) => [line, cells.sku, cells.name]);

/** What is wrong, and in which words. */
async function problemOf(bytes: Buffer | string, format: Format, more: Partial<TableInput> = {}) {
  const failure = await rowsOf(Buffer.from(bytes as string), format, more).catch((error: unknown) => error);
  expect(failure).toMatchObject({ code: 'file_unreadable' });
  const { extra, detail } = failure as { extra: { members: { problem: string } }; detail: string };
  return [extra.members.problem, detail] as const;
}

async function written(format: Format, rows: readonly (readonly string[])[]): Promise<Buffer> {
  async function* all() {
    yield* rows;
  }
  const pieces: Buffer[] = [];
  for await (const piece of writeTable('skus', format, all())) pieces.push(piece);
  return Buffer.concat(pieces);
}

describe('CSV', () => {
  test.each([
    ['a,"b;c";d\n1;2;3;4', ','],
    ['a;b\n1,2,3', ';'],
    ['a\tb', '\t'],
    ['alone', ','],
  ])('the separator of %j is %j', (head, separator) => expect(sniffSeparator(head)).toBe(separator));

  test('byte order mark, quotes, line ends of every kind, empty lines; lines as an editor counts them', async () => {
    const file = Buffer.from('\uFEFFSKU;Name\r\nA;"one; ""two"""\r\n\r\nB;"two\nlines"\rC;ü €\n;\n');
    expect(await cellsOf(file, 'csv')).toEqual([
      [2, 'A', 'one; "two"'],
      [4, 'B', 'two\nlines'],
      [6, 'C', 'ü €'],
    ]);
  });

  test('a letter that is cut in two between pieces', async () => {
    const bytes = Buffer.from('sku,name\nA,€\n');
    const source: ByteSource = {
      size: bytes.length,
      async *stream(from, to) {
        for (let at = from; at < Math.min(to, bytes.length); at += 1) yield bytes.subarray(at, at + 1);
      },
    };
    expect((await rowsOf(source, 'csv'))[0]?.cells.name).toBe('€');
  });

  test.each<[string, Buffer | string, string, RegExp]>([
    ['empty', '', 'empty', /empty/],
    ['nothing but blanks', '\uFEFF \r\n \n', 'empty', /empty/],
    ['another encoding', Buffer.from('sku,name\nA,B\nC,\xe4\n', 'latin1'), 'not_utf8', /UTF-8/],
    ['UTF-16', Buffer.from('\uFEFFsku,name\n', 'utf16le'), 'not_utf8', /UTF-16/],
    ['a program', Buffer.from('sku,name\nA,\0\n'), 'not_utf8', /UTF-8/],
    ['an archive', Buffer.from('PK\u0003\u0004'), 'bad_csv', /spreadsheetml/],
    ['a quote that is not closed', 'sku,name\nA,"b\nC,d\n', 'bad_csv', /quote is opened and never closed/],
    ['a quote in the middle', 'sku,name\nA,b"c"\n', 'bad_csv', /line 2.*middle/],
    [
      'columns',
      'sku,title,title,,price\n',
      'wrong_columns',
      /missing: name; unknown: title, title, \(column 4 has no title\), price/,
    ],
    ['a column twice', 'sku,name,SKU\n', 'wrong_columns', /twice: sku/],
  ])('%s is named', async (_, file, problem, words) => {
    const [code, detail] = await problemOf(file, 'csv');
    expect(code).toBe(problem);
    expect(detail).toMatch(words);
  });

  test('one row too many', async () => {
    const file = 'sku,name\nA,B\nC,D\n';
    expect(await problemOf(file, 'csv', { rowsMost: 1 })).toEqual([
      'too_many_rows',
      'There are more than 1 rows; send several files',
    ]);
    expect(await rowsOf(Buffer.from(file), 'csv', { rowsMost: 2 })).toHaveLength(2);
  });
});

describe('XLSX', () => {
  const odd = [
    ['=1+1', '+A', 'single', '-', '@x'],
    ["'=quoted", "it's", '\tTab', ' spaces ', ''],
    ['<&>"', '_x000D_', 'a_x005F_b', 'ü€😀', "''-x"],
  ];

  test.each<Format>(['csv', 'xlsx'])('what is written as %s is read back', async (format) => {
    const rows = (await rowsOf(await written(format, odd), format)).map(({ cells }) => Object.values(cells));
    expect(rows).toEqual(odd);
  });

  test('read-excel-file reads what we write', async () => {
    const sheet = await readSheet(await written('xlsx', odd));
    expect(sheet[0]).toEqual(['sku', 'name', 'kind', 'components', 'distribution']);
    expect(sheet[1]).toEqual(["'=1+1", "'+A", 'single', "'-", "'@x"]);
    expect(sheet[3]?.slice(3)).toEqual(['ü€😀', "'''-x"]);
  });

  test('what write-excel-file writes is read: shared texts, numbers, truth, gaps', async () => {
    const cells = [
      ['name', null, 'SKU'],
      ['One', null, 1001],
      [19.9, null, 'A'],
      [true, null, '12.50'],
    ];
    const file = await writeExcel(
      cells.map((row) => row.map((value) => (value === null ? null : { value }))) as never,
    ).toBuffer();
    expect((await problemOf(file, 'xlsx'))[1]).toContain('(column 2 has no title)');
    const without = cells.map(([name, , sku]) => [{ value: name }, { value: sku }]);
    expect(await cellsOf(await writeExcel(without as never).toBuffer(), 'xlsx')).toEqual([
      [2, '1001', 'One'],
      [3, 'A', '19.9'],
      [4, '12.50', 'TRUE'],
    ]);
  });

  test('a number with the digits that spreadsheets keep is the one that was typed', async () => {
    const file = xlsx('<row r="7"><c r="A7"><v>19.899999999999999</v></c><c r="B7" t="str"><v>x</v></c></row>');
    expect(await cellsOf(file, 'xlsx')).toEqual([[7, '19.9', 'x']]);
  });

  test('a sheet by its name; the others are named where the first does not fit', async () => {
    const file = zipOf(
      workbook({
        Notes: `<sheetData><row r="3">${text('A3', 'Read me')}</row></sheetData>`,
        Data: `<sheetData>${HEADER}<row r="2">${text('A2', 'A')}${text('B2', 'B')}</row></sheetData>`,
        Empty: '<sheetData/>',
      }),
    );
    expect(await cellsOf(file, 'xlsx', { sheet: 'Data' })).toEqual([[2, 'A', 'B']]);
    const [problem, detail] = await problemOf(file, 'xlsx');
    expect(problem).toBe('wrong_columns');
    expect(detail).toMatch(
      /line 3 .*missing: sku, name; unknown: Read me.*the first sheet was read.*Notes, Data, Empty.*\?sheet=/,
    );
    expect((await problemOf(file, 'xlsx', { sheet: 'Empty' }))[0]).toBe('no_header');
    expect(await problemOf(file, 'xlsx', { sheet: 'Nope' })).toEqual([
      'no_such_sheet',
      'There is no sheet Nope; the file has: Notes, Data, Empty',
    ]);
  });

  test('formulas and merged cells are named by their places, all at once', async () => {
    const formulas = Array.from(
      { length: 7 },
      (_, at) => `<row r="${at + 2}"><c r="A${at + 2}"><f>1+1</f><v>2</v></c></row>`,
    );
    expect(await problemOf(xlsx(formulas.join('')), 'xlsx')).toEqual([
      'formula_cells',
      'Cells hold formulas: A2, A3, A4, A5, A6 and 2 more. Paste them as values',
    ]);
    const merged = xlsx('', '<mergeCells count="1"><mergeCell ref="A2:B3"/></mergeCells>');
    expect(await problemOf(merged, 'xlsx')).toEqual(['merged_cells', 'Cells are merged: A2:B3. Take them apart']);
  });

  test('damaged, encrypted and other files', async () => {
    const good = await written('xlsx', [['A', 'B', '', '', '']]);
    expect((await problemOf('', 'xlsx'))[0]).toBe('empty');
    expect((await problemOf('sku,name\n', 'xlsx'))[0]).toBe('not_xlsx');
    expect((await problemOf(good.subarray(0, good.length - 30), 'xlsx'))[0]).toBe('truncated');
    expect((await problemOf(good.subarray(0, 200), 'xlsx'))[0]).toBe('truncated');
    const ole = Buffer.concat([Buffer.from([0xd0, 0xcf, 0x11, 0xe0, 0xa1, 0xb1, 0x1a, 0xe1]), Buffer.alloc(600)]);
    expect((await problemOf(ole, 'xlsx'))[0]).toBe('encrypted');
    expect((await problemOf(zipOf([{ name: 'a', text: 'a', flags: 1 }]), 'xlsx'))[0]).toBe('encrypted');
    expect((await problemOf(zipOf([{ name: 'word/document.xml', text: '<a/>' }]), 'xlsx'))[0]).toBe('not_xlsx');
    expect((await problemOf(xlsx('<row r="2"'), 'xlsx'))[0]).toBe('not_xlsx');
    const entities = '<!DOCTYPE x [<!ENTITY a "aaaa">]><worksheet><sheetData/></worksheet>';
    expect((await problemOf(zipOf(workbook({ D: '' }, { text: entities })), 'xlsx'))[0]).toBe('not_xlsx');
    // One bit of what is packed.
    const flipped = Buffer.from(xlsx(`<row r="2">${text('A2', 'A'.repeat(50))}${text('B2', 'B')}</row>`));
    const at = flipped.indexOf('xl/worksheets/sheet1.xml') + 60;
    flipped[at] = (flipped[at] ?? 0) ^ 0x10;
    expect((await problemOf(flipped, 'xlsx'))[0]).toMatch(/truncated|not_xlsx|too_large_unpacked|wrong_columns/);
  });

  test('texts that a few bytes make are counted before they are held', async () => {
    const parts = workbook({ D: '<sheetData/>' }).map((part) =>
      part.name === 'xl/_rels/workbook.xml.rels'
        ? {
            ...part,
            text: part.text.replace(
              '</Rel',
              `<Relationship Id="t" Type="${OFFICE}/sharedStrings" Target="texts.xml"/></Rel`,
            ),
          }
        : part,
    );
    const sharing = (texts: string) => zipOf([...parts, { name: 'xl/texts.xml', text: `<sst>${texts}</sst>` }]);
    const most = 2 * IMPORT_ROWS + 1_000;
    expect((await problemOf(sharing('<si/>'.repeat(most + 1)), 'xlsx'))[0]).toBe('too_large_unpacked');
    expect((await problemOf(sharing('<si/>'.repeat(10)), 'xlsx'))[0]).toBe('no_header');
    expect((await problemOf(sharing(`<si><t>${'a'.repeat(70_000)}</t></si>`), 'xlsx'))[0]).toBe('not_xlsx');
  });

  test('a bomb is refused by what it says, and by what comes out', async () => {
    const honest = zipOf(workbook({ D: '' }, { text: ' ', says: 600 * 1024 * 1024 }));
    expect((await problemOf(honest, 'xlsx'))[0]).toBe('too_large_unpacked');
    const liar = zipOf(workbook({ D: '' }, { text: ' '.repeat(1_000_000), says: 100 }));
    expect((await problemOf(liar, 'xlsx'))[0]).toBe('too_large_unpacked');
  });
});
