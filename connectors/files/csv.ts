/** CSV: UTF-8 with or without a byte order mark, separated by comma, semicolon or tab. */
import { Readable } from 'node:stream';
import { parse } from 'csv-parse';
import { stringify } from 'csv-stringify';
import { type ByteSource, readBytes, type TableRow, unreadable } from './source';

const SEPARATORS = [',', ';', '\t'] as const;
/** Where the separator is looked for: within this many bytes from the beginning. */
const HEAD_BYTES = 64 * 1024;
const SLICE_BYTES = 16 * 1024;
/** One record may be this long; a quote that is never closed would swallow the whole file else. Characters. */
const RECORD_MOST = 128 * 1024;

/** The separator of the first line: the one that stands there most often outside quotes. */
export function sniffSeparator(head: string): string {
  let quoted = false;
  const counts = new Map<string, number>(SEPARATORS.map((separator) => [separator, 0]));
  for (const character of head) {
    if (character === '"') quoted = !quoted;
    else if (!quoted && (character === '\n' || character === '\r')) break;
    else if (!quoted && counts.has(character)) counts.set(character, (counts.get(character) ?? 0) + 1);
  }
  return [...counts].reduce((best, one) => (one[1] > best[1] ? one : best))[0];
}

/** Small enough that a trouble's line is near, and that rows go on while the rest is still to come. */
async function* inSlices(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  for await (const piece of pieces)
    for (let at = 0; at < piece.length; at += SLICE_BYTES) yield piece.subarray(at, at + SLICE_BYTES);
}

/** Text of the file, checked. A letter of another encoding is refused with its line. */
async function* decode(source: ByteSource): AsyncIterable<string> {
  const decoder = new TextDecoder('utf-8', { fatal: true });
  let line = 1;
  const wrong = () =>
    unreadable('not_utf8', `The text is not UTF-8, at or after line ${line}; save the file as “CSV UTF-8”`);
  const take = (bytes?: Buffer) => {
    try {
      return bytes ? decoder.decode(bytes, { stream: true }) : decoder.decode();
    } catch {
      throw wrong();
    }
  };
  for await (const bytes of inSlices(source.stream(0, source.size))) {
    const text = take(bytes);
    if (text.includes('\0')) throw wrong();
    yield text;
    for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) line += 1;
  }
  yield take();
}

const PARSER_WORDS: Readonly<Record<string, string>> = {
  CSV_QUOTE_NOT_CLOSED: 'a quote is opened and never closed',
  CSV_INVALID_CLOSING_QUOTE: 'there is text after a closing quote',
  INVALID_OPENING_QUOTE: 'there is a quote in the middle of a cell that does not begin with one',
  CSV_MAX_RECORD_SIZE: 'a row is too long; a quote may not be closed',
};

/** The rows of a CSV file, empty lines left out. */
export async function* readCsv(source: ByteSource): AsyncGenerator<TableRow> {
  const head = await readBytes(source, 0, HEAD_BYTES);
  if (head.subarray(0, 2).equals(Buffer.from([0xff, 0xfe])) || head.subarray(0, 2).equals(Buffer.from([0xfe, 0xff])))
    throw unreadable('not_utf8', 'The text is UTF-16; save the file as “CSV UTF-8”');
  const text = head.toString('utf8').replace(/^\uFEFF/, '');
  if (source.size === 0 || (source.size <= HEAD_BYTES && text.trim() === ''))
    throw unreadable('empty', 'The file is empty');
  const parser = parse({
    delimiter: sniffSeparator(text),
    record_delimiter: ['\r\n', '\n', '\r'],
    relax_column_count: true,
    info: true,
    max_record_size: RECORD_MOST,
  });
  const input = Readable.from(decode(source), { objectMode: false, encoding: 'utf8' });
  input.on('error', (error) => parser.destroy(error));
  input.pipe(parser);
  let before = 0;
  try {
    for await (const { record, info } of parser as AsyncIterable<{ record: string[]; info: { lines: number } }>) {
      const line = before + 1;
      before = info.lines;
      if (record.some((cell) => cell.trim() !== '')) yield { line, cells: record };
    }
  } catch (error) {
    const { code, lines } = error as { code?: string; lines?: number };
    if (code === undefined || !/^(CSV_|INVALID_)/.test(code)) throw error;
    const words = PARSER_WORDS[code] ?? 'it is not well-formed';
    throw unreadable('bad_csv', `The CSV can not be read near line ${lines ?? before + 1}: ${words}`, error);
  } finally {
    input.destroy();
    parser.destroy();
  }
}

/** A table as CSV: commas, CRLF, with a byte order mark so that spreadsheets take it for UTF-8. */
export async function* writeCsv(rows: AsyncIterable<readonly string[]>): AsyncGenerator<Buffer> {
  const writer = stringify({ bom: true, record_delimiter: 'windows' });
  const input = Readable.from(rows, { objectMode: true });
  input.on('error', (error) => writer.destroy(error));
  input.pipe(writer);
  try {
    for await (const piece of writer) yield Buffer.from(piece as Buffer | string);
  } finally {
    input.destroy();
    writer.destroy();
  }
}
