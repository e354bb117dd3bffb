/** XLSX files made by hand, byte by byte: such as other programs make, and such as nobody should. */
import { crc32, deflateRawSync } from 'node:zlib';

/** One file of an archive. */
export interface Part {
  readonly name: string;
  readonly text: string;
  /** What the directory says of its length, where that is a lie. */
  readonly says?: number;
  readonly flags?: number;
}

/** An archive as another program might make it, or as nobody should. */
export function zipOf(parts: readonly Part[]): Buffer {
  const locals: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, text, says, flags = 0 } of parts) {
    const bytes = Buffer.from(text);
    const packed = deflateRawSync(bytes);
    const head = Buffer.alloc(30);
    head.writeUInt32LE(0x04034b50, 0);
    head.writeUInt16LE(8, 8);
    head.writeUInt16LE(name.length, 26);
    const entry = Buffer.alloc(46);
    entry.writeUInt32LE(0x02014b50, 0);
    entry.writeUInt16LE(flags, 8);
    entry.writeUInt16LE(8, 10);
    entry.writeUInt32LE(crc32(bytes), 16);
    entry.writeUInt32LE(packed.length, 20);
    entry.writeUInt32LE(says ?? bytes.length, 24);
    entry.writeUInt16LE(name.length, 28);
    entry.writeUInt32LE(offset, 42);
    const local = Buffer.concat([head, Buffer.from(name), packed]);
    locals.push(local);
    directory.push(entry, Buffer.from(name));
    offset += local.length;
  }
  const all = Buffer.concat(directory);
  const end = Buffer.alloc(22);
  end.writeUInt32LE(0x06054b50, 0);
  end.writeUInt16LE(parts.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(offset, 16);
  return Buffer.concat([...locals, all, end]);
}

/** The name space of a workbook's relations. */
export const OFFICE = 'http://schemas.openxmlformats.org/officeDocument/2006/relationships';
/** A workbook with these sheets' XML. */
export function workbook(sheets: Readonly<Record<string, string>>, more: Partial<Part> = {}): Part[] {
  const names = Object.keys(sheets);
  return [
    {
      name: '_rels/.rels',
      text: `<Relationships><Relationship Id="rId1" Type="${OFFICE}/officeDocument" Target="xl/workbook.xml"/></Relationships>`,
    },
    {
      name: 'xl/workbook.xml',
      text: `<workbook><sheets>${names.map((name, index) => `<sheet name="${name}" sheetId="${index + 1}" r:id="rId${index + 1}"/>`).join('')}</sheets></workbook>`,
    },
    {
      name: 'xl/_rels/workbook.xml.rels',
      text: `<Relationships>${names.map((_, index) => `<Relationship Id="rId${index + 1}" Type="${OFFICE}/worksheet" Target="/xl/worksheets/sheet${index + 1}.xml"/>`).join('')}</Relationships>`,
    },
    ...names.map((name, index) => ({
      name: `xl/worksheets/sheet${index + 1}.xml`,
      text: `<worksheet>${sheets[name]}</worksheet>`,
      ...more,
    })),
  ];
}
/** A cell with a text. */
export const text = (place: string, value: string) => `<c r="${place}" t="inlineStr"><is><t>${value}</t></is></c>`;
/** The first row of a file of SKUs. */
export const HEADER = `<row r="1">${text('A1', 'sku')}${text('B1', 'name')}</row>`;
/** A file of SKUs with these rows. */
export const xlsx = (rows: string, after = '') =>
  zipOf(workbook({ Data: `<sheetData>${HEADER}${rows}</sheetData>${after}` }));
