/** Labels that the hub draws, read back: the text that is said to be there, and the letters that the fonts in it draw. */
import { inflateSync } from 'node:zlib';
import { PDFArray, PDFDict, PDFDocument, PDFName, type PDFRawStream } from '@cantoo/pdf-lib';
import { create } from '@pdf-lib/fontkit';
import { drawLabel } from '../../connectors/files/labels';

const LABEL = { supplyOrder: 'sord_1', sourceStore: 'BigShop – Kedai', warehouse: 'w', carrier: 'J&T' };
const drawn = async (name: string, address: string) =>
  read(
    await drawLabel({
      ...LABEL,
      recipient: { name, phone: '+60 12-345', address },
      lines: [{ sku: 'TEE-1', quantity: 2 }],
    }),
  );

const bytesOf = (stream: PDFRawStream) =>
  String(stream.dict.get(PDFName.of('Filter')) ?? '') === '' ? stream.contents : inflateSync(stream.contents);

/** The lines as they are said, the letters as they are drawn, and where each glyph stands. */
async function read(pdf: Buffer) {
  const document = await PDFDocument.load(pdf);
  const texts: string[] = [];
  const glyphs: { letter: string | null; isThere: boolean; x: number; y: number }[] = [];
  for (const page of document.getPages()) {
    const fonts = new Map(
      (page.node.Resources()?.lookup(PDFName.of('Font'), PDFDict).entries() ?? []).map(([key, ref]) => {
        const dict = document.context.lookup(ref, PDFDict);
        const inner = dict.lookup(PDFName.of('DescendantFonts'), PDFArray).lookup(0, PDFDict);
        const file = inner
          .lookup(PDFName.of('FontDescriptor'), PDFDict)
          .lookup(PDFName.of('FontFile2')) as PDFRawStream;
        const font = create(bytesOf(file));
        const letters = new Map(font.characterSet.map((code) => [font.glyphForCodePoint(code).id, code]));
        return [String(key), { font, letters }] as const;
      }),
    );
    const contents = page.node.Contents();
    const streams = contents instanceof PDFArray ? contents.asArray() : [contents];
    const code = streams
      .map((one) => document.context.lookup(one as never) as PDFRawStream)
      .map((one) => Buffer.from(bytesOf(one)).toString('latin1'))
      .join('\n');
    let [font, x, y] = [fonts.values().next().value, 0, 0];
    for (const [, actual, key, at, up, glyph] of code.matchAll(
      /ActualText <(\w+)>|(\/\S+) \S+ Tf|1 0 0 1 (\S+) (\S+) Tm|<(\w{4})> Tj/g,
    )) {
      if (actual) texts.push(Buffer.from(actual, 'hex').subarray(2).swap16().toString('utf16le'));
      if (key) font = fonts.get(key);
      if (at) [x, y] = [Number(at), Number(up)];
      if (!glyph || !font) continue;
      const id = Number.parseInt(glyph, 16);
      const letter = font.letters.get(id);
      glyphs.push({
        letter: letter === undefined ? null : String.fromCodePoint(letter),
        isThere: id > 0 && font.font.getGlyph(id).path.toSVG() !== '',
        x,
        y,
      });
    }
  }
  const seen = glyphs.map(({ letter }) => letter ?? '').join('');
  return { texts, glyphs, seen, pages: document.getPageCount(), bytes: pdf.length };
}

test.each([
  ['Vietnamese', 'Nguyễn Thị Ánh Tuyết', '12 Đường Lê Lợi, Phường Bến Nghé, Quận 1, Thành phố Hồ Chí Minh'],
  ['Vietnamese in parts', 'Nguyễn Đặng Ửng'.normalize('NFD'), 'Huế'.normalize('NFD')],
  ['Chinese', '王小明', '广东省深圳市南山区科技园 88 号 3 楼'],
  ['traditional Chinese', '陳麗華', '臺北市信義區松仁路'],
  ['what mixes them', 'Tan Wei Ming 陈伟明', 'Blk 12, Jalan Lê สุข 武吉'],
])('hold each letter of %s', async (_, name, address) => {
  const { texts, glyphs, seen } = await drawn(name, address);
  const said = (text: string) => text.normalize('NFC').replaceAll(/\s/g, '');
  expect(said(texts.join(' '))).toBe(
    said(`sord_1 To ${name} +60 12-345 ${address} From BigShop – Kedai, by J&T 2 x TEE-1`),
  );
  // The fonts draw this one as two: a letter and a dot.
  const simple = (text: string) => said(text).replaceAll('ị', '');
  expect(simple(seen)).toBe(simple(texts.join(' ')));
  expect(glyphs.filter(({ isThere, letter }) => !isThere && letter !== ' ')).toEqual([]);
});

test('hold Thai with its marks where they belong', async () => {
  const { texts, glyphs } = await drawn('ปู่น้ำที่', 'กรุงเทพ');
  expect(texts).toContain('ปู่น\u0e4d้าที่');
  // A mark stands in another form where it is above another: that glyph has no letter of its own.
  expect(glyphs.filter(({ isThere, letter }) => !isThere && letter !== ' ')).toEqual([]);
  const name = glyphs.slice('sord_1To'.length, 'sord_1To'.length + 11);
  expect(name.map(({ letter }) => letter).filter((letter) => 'ปนาทู'.includes(letter ?? '-'))).toEqual([...'ปูนาท']);
  // Marks add no width: what follows stands no further than the consonant is wide.
  const [first, under] = name;
  expect(Math.abs((under?.x ?? 0) - (first?.x ?? 0))).toBeLessThan(10);
});

test('break lines where the script does, and go on another page', async () => {
  const long = await drawn('สมชาย', 'กรุงเทพมหานครเขตบางรักแขวงสีลมถนนสาทรเหนือ'.repeat(4));
  expect(long.texts.length).toBeGreaterThan(9);
  expect(Math.max(...long.glyphs.map(({ x }) => x))).toBeLessThan(298);
  expect((await drawn('x', '深圳市'.repeat(120))).pages).toBeGreaterThan(1);
  // The fonts are cut to what is needed.
  expect(long.bytes).toBeLessThan(60_000);
});

test('are refused for a script that no font has', async () => {
  for (const name of ['محمد', 'ဦးအောင်', '😀'])
    await expect(drawn(name, 'x')).rejects.toMatchObject({ name: 'UnprintableText' });
});
