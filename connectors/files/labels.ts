/** Labels of parcels as PDF: the supplier's own are drawn here, those of others are passed through page by page. */
import {
  beginText,
  endMarkedContent,
  endText,
  PDFDocument,
  type PDFFont,
  PDFHexString,
  PDFName,
  PDFOperator,
  PDFOperatorNames,
  type PDFPage,
  setFontAndSize,
  setTextMatrix,
  showText,
} from '@cantoo/pdf-lib';
import { create } from '@pdf-lib/fontkit';
import { toBuffer } from 'bwip-js/node';
import { type Faces, facesFor, printable, runsOf, type Weight, wrap } from './fonts';

export interface OwnLabel {
  readonly supplyOrder: string;
  readonly sourceStore: string;
  readonly warehouse: string;
  readonly carrier: string | null;
  readonly recipient: { readonly name: string; readonly phone: string; readonly address: string } | null;
  readonly lines: readonly { readonly sku: string; readonly quantity: number }[];
}

export interface MissingLabel {
  readonly supplyOrder: string;
  readonly reason: string;
}

/** A6, in points. */
const PAGE: [number, number] = [298, 420];
const MARGIN = 18;
const LINES_SHOWN = 12;

/** A line of a label, as tall as `size` in points, or a gap. */
type Entry = { readonly text: string; readonly size: number; readonly weight: Weight } | { readonly gap: number };

const entry = (text: string, size: number, weight: Weight = 400): Entry => ({ text: printable(text), size, weight });

/** Draws each of a line's letters where the font's rules place it; what is read or copied is the text. */
function drawLine(page: PDFPage, fonts: Fonts, line: string, size: number, y: number): void {
  if (line === '') return;
  let x = MARGIN;
  const actual = page.doc.context.obj({ ActualText: PDFHexString.fromText(line) });
  page.pushOperators(
    PDFOperator.of(PDFOperatorNames.BeginMarkedContentSequence, [PDFName.of('Span'), actual as never]),
    beginText(),
  );
  for (const { part, text } of runsOf(line)) {
    const face = fonts.faces.get(part);
    const embedded = fonts.embedded.get(part);
    if (!face || !embedded) throw new Error('The faces are of another text');
    const scale = size / face.font.unitsPerEm;
    const { glyphs, positions } = face.font.layout(text);
    page.pushOperators(setFontAndSize(page.node.newFontDictionary(embedded.name, embedded.ref), size));
    glyphs.forEach(({ id }, at) => {
      const { xAdvance = 0, xOffset = 0, yOffset = 0 } = positions[at] ?? {};
      page.pushOperators(
        setTextMatrix(1, 0, 0, 1, x + xOffset * scale, y + yOffset * scale),
        showText(PDFHexString.of(id.toString(16).padStart(4, '0'))),
      );
      x += xAdvance * scale;
    });
  }
  page.pushOperators(endText(), endMarkedContent());
}

interface Fonts {
  readonly faces: Faces;
  readonly embedded: ReadonlyMap<unknown, PDFFont>;
}

/** The fonts of all entries of a weight, in the document. */
async function fontsFor(document: PDFDocument, entries: readonly Entry[], weight: Weight): Promise<Fonts> {
  const texts = entries.flatMap((one) => ('text' in one && one.weight === weight ? one.text.split(/[\r\n]+/) : []));
  const faces = await facesFor(texts, weight);
  const embedded = new Map<unknown, PDFFont>();
  for (const [part, { bytes }] of faces) embedded.set(part, await document.embedFont(bytes));
  return { faces, embedded };
}

/** Below the bar code; what does not fit goes on another page. */
async function drawEntries(document: PDFDocument, first: PDFPage, top: number, entries: readonly Entry[]) {
  document.registerFontkit({ create } as never);
  const fonts = { 400: await fontsFor(document, entries, 400), 700: await fontsFor(document, entries, 700) };
  let page = first;
  let y = top;
  for (const one of entries) {
    if ('gap' in one) {
      y -= one.gap;
      continue;
    }
    const { size, weight, text } = one;
    for (const line of wrap(fonts[weight].faces, text, size, PAGE[0] - 2 * MARGIN)) {
      // Thai and Vietnamese stack marks on their letters.
      y -= size * 1.4;
      if (y < MARGIN) {
        page = document.addPage(PAGE);
        y = PAGE[1] - MARGIN - size * 1.4;
      }
      drawLine(page, fonts[weight], line, size, y);
    }
  }
}

/** A label of the supplier's own: recipient, what is in it, and the supply order as a bar code. Throws `UnprintableText`. */
export async function drawLabel(label: OwnLabel): Promise<Buffer> {
  const document = await PDFDocument.create();
  const page = document.addPage(PAGE);
  const code = await document.embedPng(
    await toBuffer({ bcid: 'code128', text: label.supplyOrder, scale: 2, height: 12, includetext: false }),
  );
  const top = PAGE[1] - MARGIN - 40;
  page.drawImage(code, { x: MARGIN, y: top, width: PAGE[0] - 2 * MARGIN, height: 40 });
  const { recipient, lines, carrier } = label;
  await drawEntries(document, page, top, [
    entry(label.supplyOrder, 9),
    { gap: 8 },
    entry('To', 9),
    ...(recipient === null
      ? [entry('No recipient was given', 12)]
      : [entry(recipient.name, 14, 700), entry(recipient.phone, 12), entry(recipient.address, 12)]),
    { gap: 8 },
    entry(`From ${label.sourceStore}${carrier === null ? '' : `, by ${carrier}`}`, 9),
    ...lines.slice(0, LINES_SHOWN).map(({ sku, quantity }) => entry(`${quantity} x ${sku}`, 9)),
    ...(lines.length > LINES_SHOWN ? [entry(`and ${lines.length - LINES_SHOWN} more lines`, 9)] : []),
  ]);
  return Buffer.from(await document.save());
}

async function drawMissing(document: PDFDocument, missing: readonly MissingLabel[]): Promise<void> {
  await drawEntries(document, document.addPage(PAGE), PAGE[1] - MARGIN, [
    entry(`${missing.length} labels are missing`, 14, 700),
    // Words of others may hold any letter.
    ...missing.map(({ supplyOrder, reason }) =>
      entry(`${supplyOrder}: ${reason.replace(/[^\x20-\x7e]/g, '?').slice(0, 200)}`, 8),
    ),
  ]);
}

/**
 * All labels as one PDF, in order; those that could not be had are named on a page in front. One alone stays the very file it is.
 * Throws where one is no PDF.
 */
export async function joinLabels(labels: readonly Buffer[], missing: readonly MissingLabel[]): Promise<Buffer> {
  const [only, ...others] = labels;
  if (only && others.length === 0 && missing.length === 0) return only;
  const joined = await PDFDocument.create();
  if (missing.length > 0) await drawMissing(joined, missing);
  for (const label of labels) {
    const document = await PDFDocument.load(label);
    for (const page of await joined.copyPages(document, document.getPageIndices())) joined.addPage(page);
  }
  return Buffer.from(await joined.save());
}

/** How many pages a PDF has; 0 where it is none, is damaged, or wants a password. */
export async function pagesOf(bytes: Buffer): Promise<number> {
  try {
    return (await PDFDocument.load(bytes)).getPageCount();
  } catch {
    return 0;
  }
}
