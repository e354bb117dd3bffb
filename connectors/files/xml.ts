/** XML a piece at a time: just what the parts of an XLSX file hold. Without document types, so nothing expands. */
import { unreadable } from './source';

export interface XmlEvents {
  open?(name: string, attribute: (name: string) => string | undefined): void;
  close?(name: string): void;
  text?(text: string): void;
}

/** One tag may be this long. Characters. */
const TAG_MOST = 64 * 1024;

const NAMED: Readonly<Record<string, string>> = { amp: '&', lt: '<', gt: '>', quot: '"', apos: "'" };

function entity(whole: string, name: string): string {
  if (!name.startsWith('#')) return NAMED[name] ?? whole;
  const code = name[1] === 'x' ? Number.parseInt(name.slice(2), 16) : Number.parseInt(name.slice(1), 10);
  return code > 0 && code <= 0x10ffff ? String.fromCodePoint(code) : '';
}

const decodeEntities = (text: string) =>
  text.includes('&') ? text.replaceAll(/&(#x[\da-fA-F]+|#\d+|\w+);/g, entity) : text;

/** Spreadsheets write characters that XML does not have as `_x000D_`. */
export const decodeEscapes = (text: string) =>
  text.includes('_x')
    ? text.replaceAll(/_x([\dA-Fa-f]{4})_/g, (_, code: string) => String.fromCharCode(Number.parseInt(code, 16)))
    : text;

const patterns = new Map<string, RegExp>();
function attributePattern(name: string): RegExp {
  const made = patterns.get(name) ?? new RegExp(`\\s(?:\\w+:)?${name}\\s*=\\s*(?:"([^"]*)"|'([^']*)')`);
  patterns.set(name, made);
  return made;
}

const localName = (name: string) => name.slice(name.indexOf(':') + 1);

const broken = () => unreadable('not_xlsx', 'A part of the XLSX file is no well-formed XML');

/** Where the thing that begins at `at` ends; -1 where that has not come yet. */
function endOf(text: string, at: number): number {
  const until = (mark: string, from: number) => {
    const end = text.indexOf(mark, from);
    return end < 0 ? -1 : end + mark.length;
  };
  if (text.startsWith('<!--', at)) return until('-->', at + 4);
  if (text.startsWith('<![CDATA[', at)) return until(']]>', at + 9);
  if (text.startsWith('<?', at)) return until('?>', at + 2);
  return until('>', at + 1);
}

function openTag(tag: string, events: XmlEvents): void {
  const closes = tag.endsWith('/');
  const inner = closes ? tag.slice(0, -1) : tag;
  const space = inner.search(/\s/);
  const name = localName(space < 0 ? inner : inner.slice(0, space));
  events.open?.(name, (wanted) => {
    if (space < 0) return undefined;
    const match = attributePattern(wanted).exec(inner);
    const value = match?.[1] ?? match?.[2];
    return value === undefined ? undefined : decodeEntities(value);
  });
  if (closes) events.close?.(name);
}

/** Reads a part; the events come as it does. Yields after each piece, so that the caller can hand on what it gathered. */
export async function* readXml(pieces: AsyncIterable<Buffer>, events: XmlEvents): AsyncGenerator<void> {
  const decoder = new TextDecoder('utf-8');
  let rest = '';
  let depth = 0;
  const counted: XmlEvents = {
    open(name, attribute) {
      depth += 1;
      events.open?.(name, attribute);
    },
    close(name) {
      depth -= 1;
      events.close?.(name);
    },
    text: (text) => events.text?.(text),
  };
  for await (const piece of pieces) {
    rest = consume(rest + decoder.decode(piece, { stream: true }), counted);
    if (rest.length > TAG_MOST) throw broken();
    yield;
  }
  if (rest.trim() !== '' || depth !== 0) throw broken();
}

/** @returns what is not complete yet */
function consume(text: string, events: XmlEvents): string {
  let at = 0;
  for (;;) {
    const start = text.indexOf('<', at);
    if (start < 0) {
      // An entity may be cut in two.
      const cut = text.lastIndexOf('&');
      const end = cut >= at && text.length - cut < 12 && !text.includes(';', cut) ? cut : text.length;
      if (end > at) events.text?.(decodeEntities(text.slice(at, end)));
      return text.slice(end);
    }
    if (start > at) events.text?.(decodeEntities(text.slice(at, start)));
    const end = text.length - start < 9 && !text.includes('>', start) ? -1 : endOf(text, start);
    if (end < 0) return text.slice(start);
    if (text.startsWith('<![CDATA[', start)) events.text?.(text.slice(start + 9, end - 3));
    else if (text.startsWith('<!D', start)) throw broken();
    else if (text[start + 1] === '/') events.close?.(localName(text.slice(start + 2, end - 1).trim()));
    else if (text[start + 1] !== '!' && text[start + 1] !== '?') openTag(text.slice(start + 1, end - 1), events);
    at = end;
  }
}
