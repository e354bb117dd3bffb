/** Files that people bring and take: CSV and XLSX, read and written a piece at a time, whatever their length. */

import { HubError } from '../../domain/failures';
import type { FileProblem } from '../../domain/imports';

/** A file whose bytes can be asked for anywhere; XLSX says at its end where things are. */
export interface ByteSource {
  readonly size: number;
  /** Bytes from `from` up to, but not with, `to`, in pieces. */
  stream(from: number, to: number): AsyncIterable<Buffer>;
}

/** The bytes in memory, for what is small. */
export function sourceOf(bytes: Buffer): ByteSource {
  return {
    size: bytes.length,
    async *stream(from, to) {
      yield bytes.subarray(from, to);
    },
  };
}

export async function readBytes(source: ByteSource, from: number, to: number): Promise<Buffer> {
  const pieces: Buffer[] = [];
  for await (const piece of source.stream(Math.max(0, from), Math.min(to, source.size))) pieces.push(piece);
  return Buffer.concat(pieces);
}

/** 422 `file_unreadable`: the file as a whole can't be taken. `detail` is for whoever made the file. */
export function unreadable(problem: FileProblem, detail: string, cause?: unknown): HubError {
  return new HubError('file_unreadable', detail, { members: { problem }, ...(cause === undefined ? {} : { cause }) });
}

/** One row as it stands in the file. */
export interface TableRow {
  /** As an editor or a spreadsheet counts, from 1. */
  readonly line: number;
  readonly cells: readonly string[];
}
