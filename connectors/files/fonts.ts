/**
 * Letters for what is printed: Noto Sans (SIL Open Font License 1.1) for Latin with Vietnamese, Greek and Cyrillic, for Thai and
 * for Chinese. The packages hold each family in parts of some hundred letters, so that a text reads few of them, and each is
 * cut to the letters that are needed.
 */
import { readFile } from 'node:fs/promises';
import latinRanges from '@fontsource/noto-sans/unicode.json';
import thaiRanges from '@fontsource/noto-sans-thai/unicode.json';
import chineseRanges from '@fontsource-variable/noto-sans-sc/unicode.json';
import { create, type Font } from '@pdf-lib/fontkit';
import subsetFont from 'subset-font';

export type Weight = 400 | 700;

/** The text holds characters that no font here has. */
export class UnprintableText extends Error {
  override readonly name = 'UnprintableText';
}

interface Part {
  readonly ranges: readonly (readonly [number, number])[];
  file(weight: Weight): string;
  /** It holds all weights, and is asked for one. */
  readonly isVariable: boolean;
}

/** Letters of one part in a row. */
export interface Run {
  readonly text: string;
  readonly part: Part;
}

/** A font with the letters of a text. */
export interface Face {
  readonly bytes: Buffer;
  readonly font: Font;
}

export type Faces = ReadonlyMap<Part, Face>;

/** "U+0000-00FF,U+0131" */
function rangesOf(text: string): [number, number][] {
  return text.split(',').map((range) => {
    const [from = '', to = from] = range.replace('U+', '').split('-');
    return [Number.parseInt(from, 16), Number.parseInt(to, 16)];
  });
}

function partsOf(
  ranges: Readonly<Record<string, string>>,
  names: readonly string[],
  isVariable: boolean,
  file: (name: string, weight: Weight) => string,
): Part[] {
  return names.map((name) => ({
    ranges: rangesOf(ranges[name] ?? ''),
    file: (weight) => file(name.replace(/[[\]]/g, ''), weight),
    isVariable,
  }));
}

/** The first that has a letter counts. */
const PARTS: readonly Part[] = [
  ...partsOf(
    latinRanges,
    ['latin', 'vietnamese', 'latin-ext', 'greek', 'greek-ext', 'cyrillic', 'cyrillic-ext'],
    false,
    (name, weight) => `@fontsource/noto-sans/files/noto-sans-${name}-${weight}-normal.woff2`,
  ),
  ...partsOf(
    thaiRanges,
    ['thai'],
    false,
    (name, weight) => `@fontsource/noto-sans-thai/files/noto-sans-thai-${name}-${weight}-normal.woff2`,
  ),
  ...partsOf(
    chineseRanges,
    Object.keys(chineseRanges).filter((name) => name.startsWith('[')),
    true,
    (name) => `@fontsource-variable/noto-sans-sc/files/noto-sans-sc-${name}-wght-normal.woff2`,
  ),
];

const filePath = require.resolve;

/**
 * As it is set: letters and their marks in one character where there is one, nothing invisible but spaces. The Thai vowel am
 * after a tone mark is its two halves with the tone mark on top, which is what the fonts' rules expect.
 */
export function printable(text: string): string {
  return text
    .normalize('NFC')
    .replace(/[\t\u00a0\u3000]/g, ' ')
    .replace(/\p{Default_Ignorable_Code_Point}|[^\P{Cc}\r\n]/gu, '')
    .replace(/([\u0e48-\u0e4b])\u0e33/g, '\u0e4d$1\u0e32');
}

/** Its runs, in order. Throws `UnprintableText`. */
export function runsOf(text: string): Run[] {
  const runs: { text: string; part: Part }[] = [];
  for (const letter of text) {
    const code = letter.codePointAt(0) ?? 0;
    const part = PARTS.find(({ ranges }) => ranges.some(([from, to]) => from <= code && code <= to));
    if (part === undefined) throw new UnprintableText('It holds characters that the label’s fonts do not have');
    const last = runs.at(-1);
    if (last?.part === part) last.text += letter;
    else runs.push({ text: letter, part });
  }
  return runs;
}

/** The fonts that these texts need, with no more letters than they need. Throws `UnprintableText`. */
export async function facesFor(texts: readonly string[], weight: Weight): Promise<Faces> {
  const needed = new Map<Part, Set<string>>();
  for (const { text, part } of texts.flatMap(runsOf)) {
    const letters = needed.get(part) ?? new Set();
    for (const letter of text) letters.add(letter);
    needed.set(part, letters);
  }
  const faces = new Map<Part, Face>();
  for (const [part, letters] of needed) {
    const bytes = await subsetFont(await readFile(filePath(part.file(weight))), [...letters].join(''), {
      targetFormat: 'truetype',
      ...(part.isVariable ? { variationAxes: { wght: weight } } : {}),
    });
    const font = create(bytes);
    // A range may have gaps.
    if (![...letters].every((letter) => font.hasGlyphForCodePoint(letter.codePointAt(0) ?? 0)))
      throw new UnprintableText('It holds characters that the label’s fonts do not have');
    faces.set(part, { bytes, font });
  }
  return faces;
}

/** How wide a text is, at a size. The faces are those of texts that this one is of. */
function widthOf(faces: Faces, text: string, size: number): number {
  let width = 0;
  for (const run of runsOf(text)) {
    const font = faces.get(run.part)?.font;
    if (font) for (const { xAdvance } of font.layout(run.text).positions) width += (xAdvance * size) / font.unitsPerEm;
  }
  return width;
}

/** Scripts that put no spaces between words. */
const UNSPACED = /[\p{Script=Thai}\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}]/u;
const words = new Intl.Segmenter('th', { granularity: 'word' });
const graphemes = new Intl.Segmenter(undefined, { granularity: 'grapheme' });

/** Where a text may be broken: pieces with the space before them; a word wider than a line is broken anywhere. */
function piecesOf(text: string, widthOfPiece: (text: string) => number, most: number): [string, number][] {
  return (text.match(/\s*\S+/g) ?? []).flatMap((word) => {
    const parts = UNSPACED.test(word) ? [...words.segment(word)].map(({ segment }) => segment) : [word];
    return parts.flatMap((part): [string, number][] => {
      const width = widthOfPiece(part);
      if (width <= most) return [[part, width]];
      return [...graphemes.segment(part)].map(({ segment }) => [segment, widthOfPiece(segment)]);
    });
  });
}

/** The text in lines that are no wider than given; lines as they were broken. */
export function wrap(faces: Faces, text: string, size: number, most: number): string[] {
  return text.split(/\r\n|\r|\n/).flatMap((paragraph) => {
    const lines: string[] = [];
    let line = '';
    let used = 0;
    for (const [piece, width] of piecesOf(paragraph, (one) => widthOf(faces, one, size), most)) {
      if (line !== '' && used + width > most) {
        lines.push(line.trim());
        [line, used] = ['', 0];
      }
      line += piece;
      used += width;
    }
    return [...lines, line.trim()];
  });
}
