/** ZIP as XLSX needs it: entries found by the directory at the end, unpacked a piece at a time and never more than allowed. */
import { Readable } from 'node:stream';
import { constants, crc32, createDeflateRaw, createInflateRaw } from 'node:zlib';
import { type ByteSource, readBytes, unreadable } from './source';

/** All entries together, unpacked: what deflates to 50 MB of honest rows stays well below. Bytes. */
const UNPACKED_MOST = 512 * 1024 * 1024;
const ENTRIES_MOST = 2_000;
const DIRECTORY_MOST = 1024 * 1024;

const END = 0x06054b50;
const END_BYTES = 22;
const DIRECTORY_ENTRY = 0x02014b50;
const DIRECTORY_ENTRY_BYTES = 46;
const LOCAL_ENTRY = 0x04034b50;
const LOCAL_ENTRY_BYTES = 30;
const DATA_DESCRIPTOR = 0x08074b50;
const ZIP64_EXTRA = 0x0001;
const ENCRYPTED_FLAG = 1;
const LATER_SIZES_FLAG = 1 << 3;
const UTF8_FLAG = 1 << 11;
const STORED = 0;
const DEFLATED = 8;

interface Entry {
  readonly name: string;
  readonly method: number;
  readonly sum: number;
  readonly packed: number;
  readonly unpacked: number;
  readonly offset: number;
}

export interface Zip {
  has(name: string): boolean;
  /** Unpacks an entry. @param most more bytes than this are refused */
  read(name: string, most?: number): AsyncGenerator<Buffer>;
}

const truncated = (cause?: unknown) =>
  unreadable('truncated', 'The file ends too early or is damaged: it is no complete XLSX file', cause);
const bomb = () =>
  unreadable('too_large_unpacked', `The file unpacks to more than ${UNPACKED_MOST / 1024 / 1024} MiB and is not taken`);

async function readDirectory(source: ByteSource): Promise<Buffer> {
  const tail = await readBytes(source, source.size - END_BYTES - 0xffff, source.size);
  const at = tail.lastIndexOf(Buffer.from([0x50, 0x4b, 0x05, 0x06]));
  if (at < 0 || at + END_BYTES > tail.length || tail.readUInt32LE(at) !== END) throw truncated();
  const size = tail.readUInt32LE(at + 12);
  const offset = tail.readUInt32LE(at + 16);
  if (size > DIRECTORY_MOST) throw unreadable('not_xlsx', 'The archive holds too many entries for an XLSX file');
  if (offset + size > source.size) throw truncated();
  return readBytes(source, offset, offset + size);
}

/** Sizes that don't fit into 32 bits stand in an extra field. */
function wideSizes(extra: Buffer, values: number[]): number[] {
  for (let at = 0; at + 4 <= extra.length; at += 4 + extra.readUInt16LE(at + 2)) {
    if (extra.readUInt16LE(at) !== ZIP64_EXTRA) continue;
    let field = at + 4;
    return values.map((value) => {
      if (value !== 0xffffffff || field + 8 > extra.length) return value;
      field += 8;
      return Number(extra.readBigUInt64LE(field - 8));
    });
  }
  return values;
}

function entriesOf(directory: Buffer): Map<string, Entry> {
  const entries = new Map<string, Entry>();
  let total = 0;
  for (let at = 0; at + DIRECTORY_ENTRY_BYTES <= directory.length; ) {
    if (directory.readUInt32LE(at) !== DIRECTORY_ENTRY) throw truncated();
    const nameEnd = at + DIRECTORY_ENTRY_BYTES + directory.readUInt16LE(at + 28);
    const extraEnd = nameEnd + directory.readUInt16LE(at + 30);
    const name = directory.toString('utf8', at + DIRECTORY_ENTRY_BYTES, nameEnd);
    if (directory.readUInt16LE(at + 8) & ENCRYPTED_FLAG)
      throw unreadable('encrypted', 'The file is encrypted; save it without a password');
    const [unpacked = 0, packed = 0, offset = 0] = wideSizes(directory.subarray(nameEnd, extraEnd), [
      directory.readUInt32LE(at + 24),
      directory.readUInt32LE(at + 20),
      directory.readUInt32LE(at + 42),
    ]);
    total += unpacked;
    if (total > UNPACKED_MOST) throw bomb();
    if (entries.size >= ENTRIES_MOST)
      throw unreadable('not_xlsx', 'The archive holds too many entries for an XLSX file');
    const method = directory.readUInt16LE(at + 10);
    const sum = directory.readUInt32LE(at + 16);
    entries.set(name.replace(/^\//, ''), { name, method, sum, packed, unpacked, offset });
    at = extraEnd + directory.readUInt16LE(at + 32);
  }
  return entries;
}

/** Opens an archive by its directory; nothing is unpacked yet. */
export async function openZip(source: ByteSource): Promise<Zip> {
  const entries = entriesOf(await readDirectory(source));

  async function* read(name: string, most = UNPACKED_MOST): AsyncGenerator<Buffer> {
    const entry = entries.get(name);
    if (!entry) throw unreadable('not_xlsx', `The archive has no ${name}: it is no XLSX file`);
    if (entry.unpacked > most) throw bomb();
    const local = await readBytes(source, entry.offset, entry.offset + LOCAL_ENTRY_BYTES);
    if (local.length < LOCAL_ENTRY_BYTES || local.readUInt32LE(0) !== LOCAL_ENTRY) throw truncated();
    const from = entry.offset + LOCAL_ENTRY_BYTES + local.readUInt16LE(26) + local.readUInt16LE(28);
    if (from + entry.packed > source.size) throw truncated();
    if (entry.method !== STORED && entry.method !== DEFLATED)
      throw unreadable('not_xlsx', 'The archive is packed in a way that XLSX files are not');
    const packed = Readable.from(source.stream(from, from + entry.packed), { objectMode: false });
    let unpacked = 0;
    const pieces = entry.method === STORED ? packed : packed.pipe(createInflateRaw());
    packed.on('error', (error) => pieces.destroy(error));
    let sum = 0;
    try {
      for await (const piece of pieces as AsyncIterable<Buffer>) {
        unpacked += piece.length;
        // What the directory says may be a lie, so what comes out is counted, too.
        if (unpacked > entry.unpacked) throw bomb();
        sum = crc32(piece, sum);
        yield piece;
      }
    } catch (error) {
      if (/^(Z_|ERR_STREAM_PREMATURE)/.test((error as { code?: string }).code ?? '')) throw truncated(error);
      throw error;
    } finally {
      packed.destroy();
      pieces.destroy();
    }
    if (unpacked !== entry.unpacked || sum !== entry.sum) throw truncated();
  }

  return { has: (name) => entries.has(name), read };
}

/** Packs entries one after the other as they come. Sizes stand behind each entry, so nothing is held back. */
export async function* writeZip(
  entries: readonly { readonly name: string; readonly content: AsyncIterable<string> | string }[],
): AsyncGenerator<Buffer> {
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, content } of entries) {
    const start = offset;
    const title = Buffer.from(name);
    const local = Buffer.alloc(LOCAL_ENTRY_BYTES);
    local.writeUInt32LE(LOCAL_ENTRY, 0);
    writeCommon(local, 4, title.length);
    yield Buffer.concat([local, title]);
    offset += local.length + title.length;

    const sizes = { sum: 0, unpacked: 0, packed: 0 };
    for await (const piece of deflate(content, sizes)) {
      offset += piece.length;
      sizes.packed += piece.length;
      yield piece;
    }
    const descriptor = Buffer.alloc(16);
    descriptor.writeUInt32LE(DATA_DESCRIPTOR, 0);
    writeSizes(descriptor, 4, sizes);
    yield descriptor;
    offset += descriptor.length;

    const entry = Buffer.alloc(DIRECTORY_ENTRY_BYTES);
    entry.writeUInt32LE(DIRECTORY_ENTRY, 0);
    entry.writeUInt16LE(20, 4);
    writeCommon(entry, 6, title.length);
    writeSizes(entry, 16, sizes);
    entry.writeUInt32LE(start, 42);
    directory.push(entry, title);
  }
  const all = Buffer.concat(directory);
  const end = Buffer.alloc(END_BYTES);
  end.writeUInt32LE(END, 0);
  end.writeUInt16LE(entries.length, 8);
  end.writeUInt16LE(entries.length, 10);
  end.writeUInt32LE(all.length, 12);
  end.writeUInt32LE(offset, 16);
  yield Buffer.concat([all, end]);
}

/** 1 January 1980: the earliest that the form knows, and the same for every export. */
const DATE = 0x0021;

function writeCommon(header: Buffer, at: number, nameBytes: number): void {
  header.writeUInt16LE(20, at);
  header.writeUInt16LE(LATER_SIZES_FLAG | UTF8_FLAG, at + 2);
  header.writeUInt16LE(DEFLATED, at + 4);
  header.writeUInt16LE(DATE, at + 8);
  header.writeUInt16LE(nameBytes, at + 22);
}

function writeSizes(header: Buffer, at: number, sizes: { sum: number; packed: number; unpacked: number }): void {
  header.writeUInt32LE(sizes.sum, at);
  header.writeUInt32LE(sizes.packed, at + 4);
  header.writeUInt32LE(sizes.unpacked, at + 8);
}

async function* deflate(
  content: AsyncIterable<string> | string,
  sizes: { sum: number; unpacked: number },
): AsyncGenerator<Buffer> {
  async function* counted() {
    for await (const text of typeof content === 'string' ? [content] : content) {
      const bytes = Buffer.from(text);
      sizes.sum = crc32(bytes, sizes.sum);
      sizes.unpacked += bytes.length;
      yield bytes;
    }
  }
  const input = Readable.from(counted(), { objectMode: false });
  const packer = createDeflateRaw({ level: constants.Z_BEST_SPEED });
  input.on('error', (error) => packer.destroy(error));
  input.pipe(packer);
  try {
    for await (const piece of packer as AsyncIterable<Buffer>) yield piece;
  } finally {
    input.destroy();
    packer.destroy();
  }
}
