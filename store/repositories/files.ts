/** Files that were sent: sealed chunk by chunk as they come, so that no whole file is ever in memory, or on a disk in clear. */

import { createHash } from 'node:crypto';
import type { ClientSession } from 'mongoose';
import { FAILURES, HubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { type Database, found } from '../database';
import type { FileDoc } from '../models/documents';

/** One chunk, before it is sealed. Bytes. */
const CHUNK_BYTES = 512 * 1024;

export interface ReceivedFile {
  readonly id: string;
  readonly bytes: number;
  /** SHA-256 of the content, hex. */
  readonly hash: string;
}

/** Parts of a stored file can be asked for; the shape that `connectors/files` reads. */
export interface StoredFile {
  readonly size: number;
  stream(from: number, to: number): AsyncIterable<Buffer>;
}

const chunkId = (file: string, number: number) => `${file}/${String(number).padStart(6, '0')}`;
const contextOf = (account: string, file: string, number: number) => `file:${account}:${chunkId(file, number)}`;

/** Gathers what comes in pieces of any length into chunks. */
async function* inChunks(pieces: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let gathered: Buffer[] = [];
  let bytes = 0;
  for await (const piece of pieces) {
    gathered.push(piece);
    bytes += piece.length;
    if (bytes < CHUNK_BYTES) continue;
    const all = Buffer.concat(gathered);
    let at = 0;
    for (; all.length - at >= CHUNK_BYTES; at += CHUNK_BYTES) yield all.subarray(at, at + CHUNK_BYTES);
    gathered = [all.subarray(at)];
    bytes = all.length - at;
  }
  if (bytes > 0) yield Buffer.concat(gathered);
}

export function createFileRepository({ models, cipher, now }: Database) {
  async function remove(row: Pick<FileDoc, '_id'>): Promise<void> {
    // Ids sort by their number; "0" follows "/".
    const chunks = await models.fileChunks
      .find({ _id: { $gte: `${row._id}/`, $lt: `${row._id}0` } }, { _id: 1 })
      .lean();
    if (chunks.length > 0)
      await models.fileChunks.collection.bulkWrite(
        chunks.map(({ _id }) => ({ deleteOne: { filter: { _id } } })) as never,
      );
    await models.files.deleteOne({ _id: row._id });
  }

  async function* read(row: FileDoc, from: number, to: number): AsyncGenerator<Buffer> {
    const end = Math.min(to, row.bytes);
    for (let at = Math.max(0, from); at < end; ) {
      const number = Math.floor(at / CHUNK_BYTES);
      const chunk = found(
        await models.fileChunks.collection.findOne({ _id: chunkId(row._id, number) as never }),
        'file any more',
      );
      const sealed = (chunk as unknown as { body: { buffer: Uint8Array } }).body.buffer;
      const bytes = cipher.openBytes(Buffer.from(sealed), contextOf(row.account, row._id, number));
      const start = number * CHUNK_BYTES;
      yield bytes.subarray(at - start, Math.min(end - start, bytes.length));
      at = start + CHUNK_BYTES;
    }
  }

  return {
    /**
     * Stores what comes. Until `claim`, the file belongs to nothing and may be dropped.
     * 413 where it is longer than allowed; nothing of it stays then.
     */
    async receive(account: string, pieces: AsyncIterable<Buffer>, limitBytes: number): Promise<ReceivedFile> {
      const row: FileDoc = { _id: newId('file'), account, bytes: 0, chunks: 0, document: null, createdAt: now() };
      const hash = createHash('sha256');
      await models.files.create(row);
      try {
        for await (const chunk of inChunks(pieces)) {
          row.bytes += chunk.length;
          if (row.bytes > limitBytes) throw tooLarge(limitBytes);
          hash.update(chunk);
          const body = cipher.sealBytes(chunk, contextOf(account, row._id, row.chunks));
          await models.fileChunks.collection.insertOne({ _id: chunkId(row._id, row.chunks), body } as never);
          row.chunks += 1;
        }
        await models.files.updateOne({ _id: row._id }, { $set: { bytes: row.bytes, chunks: row.chunks } });
      } catch (error) {
        await remove(row).catch(() => {}); // The sweep finds what is left.
        throw error;
      }
      return { id: row._id, bytes: row.bytes, hash: hash.digest('hex') };
    },

    /** The file belongs to this document from now on. */
    async claim(session: ClientSession, account: string, id: string, document: string): Promise<void> {
      const { matchedCount } = await models.files.updateOne({ _id: id, account }, { $set: { document } }, { session });
      if (matchedCount === 0) throw new HubError('not_found', 'There is no such file any more');
    },

    /** The file belongs to nothing any more: the next sweep removes it, as one that nothing claimed for long. */
    async release(session: ClientSession, id: string): Promise<void> {
      await models.files.updateOne({ _id: id }, { $set: { document: null, createdAt: new Date(0) } }, { session });
    },

    async open(account: string, id: string): Promise<StoredFile> {
      const row = found(await models.files.findOne({ _id: id, account }).lean(), 'file any more');
      return { size: row.bytes, stream: (from, to) => read(row, from, to) };
    },

    /** Removes a file and its chunks; nothing where it is gone. */
    async remove(id: string): Promise<void> {
      await remove({ _id: id });
    },

    /** Removes the file unless it was claimed. */
    async dropUnclaimed(id: string): Promise<void> {
      const row = await models.files.findOne({ _id: id, document: null }).lean();
      if (row) await remove(row);
    },

    /** Files that came before the given time and that nothing claimed. */
    async unclaimed(before: Date, limit: number): Promise<FileDoc[]> {
      return models.files
        .find({ document: null, createdAt: { $lt: before } })
        .limit(limit)
        .lean();
    },
  };
}

/** 413, with the limit. */
export function tooLarge(limitBytes: number): HubError {
  return new HubError(
    'body_too_large',
    `${FAILURES.body_too_large.title}: a file may have ${limitBytes / 1024 / 1024} MiB`,
    {
      members: { limitBytes },
    },
  );
}
