/** Many documents at once: single writes as one, so that the disk is waited for once and not once for each; rows in batches. */
import type { AnyBulkWriteOperation, ClientSession, Collection } from 'mongodb';
import type { Database } from './database';

/** Writes of one transaction: short, so that it rarely meets others. */
const AT_ONCE = 200;

/**
 * Does repeatable writes of single documents, in transactions of some hundred each; with a session in that one's. What a
 * crash leaves half done is done again by whoever repeats them.
 */
export async function writeTogether(
  { transact }: Pick<Database, 'transact'>,
  collection: unknown,
  writes: readonly object[],
  session?: ClientSession | null,
): Promise<void> {
  const bulk = (some: readonly object[], within: ClientSession) =>
    (collection as Collection).bulkWrite(some as AnyBulkWriteOperation[], { ordered: false, session: within });
  if (session && writes.length > 0) await bulk(writes, session);
  if (session) return;
  for (const some of inPieces(writes)) await transact((own) => bulk(some, own));
}

/** A list in pieces that fit into one transaction. */
export function* inPieces<T>(items: readonly T[], size = AT_ONCE): Generator<readonly T[]> {
  for (let from = 0; from < items.length; from += size) yield items.slice(from, from + size);
}

/** Rows of a cursor in batches. */
export async function* inBatches<T>(rows: AsyncIterable<T>, size: number): AsyncGenerator<T[]> {
  let batch: T[] = [];
  for await (const row of rows) {
    batch.push(row);
    if (batch.length < size) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}
