/** The connection to MongoDB, and the one way to run a transaction. */
import mongoose, { type ClientSession, type Connection, type QueryFilter } from 'mongoose';
import pLimit, { type LimitFunction } from 'p-limit';
import { HubError } from '../domain/failures';
import { createFieldCipher, type FieldCipher, type KeyRing } from './cipher';
import { createModels, type Models, prepareCollections } from './models';

export interface Database {
  readonly connection: Connection;
  readonly models: Models;
  readonly cipher: FieldCipher;
  now(): Date;
  /**
   * Runs `work` in a transaction and again when it met a conflict, so `work` may run several times: nothing but database
   * calls in it. Those with the same `hot` key take turns within this process; that only spares conflicts, correctness
   * rests on the guards.
   */
  transact<T>(work: (session: ClientSession) => Promise<T>, hot?: string): Promise<T>;
  /**
   * Runs `act` once the session's transaction has committed, and not at all where it did not; at once without a session.
   * Best effort: a crash in between loses it, so what must happen is also written down, and found by the sweep.
   */
  afterCommit(session: ClientSession | null, act: () => void): void;
  ping(): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  readonly uri: string;
  readonly database: string;
  readonly dataKeys: KeyRing['keys'];
  readonly now?: () => Date;
  /** How long to look for a server before a call fails. Milliseconds. */
  readonly serverSelectionTimeoutMs?: number;
  /** Emit the driver's command events; a test listens to them. */
  readonly monitorCommands?: boolean;
  readonly maxPoolSize?: number;
}

/** No answer on a connection for this long: it is given up. Milliseconds. */
const SOCKET_MS = 45_000;
/**
 * A transaction that takes longer is no longer waited for, so that those behind it get their turn. It may still commit:
 * whoever asked tries again and finds it done. Milliseconds.
 */
const TRANSACTION_MS = 30_000;

async function inTime<T>(work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(
      () => reject(new HubError('unavailable', 'The database does not answer in time')),
      TRANSACTION_MS,
    );
  });
  work.catch(() => {});
  try {
    return await Promise.race([work, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** Connects, and makes what is missing of collections and indexes. */
export async function connectDatabase(options: DatabaseOptions): Promise<Database> {
  const connection = mongoose.createConnection(options.uri, {
    dbName: options.database,
    writeConcern: { w: 'majority', j: true },
    readConcern: { level: 'majority' },
    serverSelectionTimeoutMS: options.serverSelectionTimeoutMs ?? 5_000,
    monitorCommands: options.monitorCommands ?? false,
    maxPoolSize: options.maxPoolSize ?? 50,
    // An answer that never comes (the server was killed in the middle) must end some time.
    socketTimeoutMS: SOCKET_MS,
    autoCreate: false,
    autoIndex: false,
    bufferCommands: false,
  } as mongoose.ConnectOptions);
  await connection.asPromise();
  const models = createModels(connection);
  await prepareCollections(models);
  const turns = new Map<string, LimitFunction>();
  /** What each transaction asked for in its current try. */
  const afterwards = new WeakMap<ClientSession, (() => void)[]>();

  async function once<T>(work: (session: ClientSession) => Promise<T>): Promise<T> {
    const session = await connection.startSession();
    try {
      const result = await session.withTransaction(
        () => {
          afterwards.set(session, []);
          return work(session);
        },
        { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority', j: true } },
      );
      for (const act of afterwards.get(session) ?? []) act();
      return result;
    } finally {
      await session.endSession();
    }
  }

  return {
    connection,
    models,
    cipher: createFieldCipher({ keys: options.dataKeys }),
    now: options.now ?? (() => new Date()),
    async transact(work, hot) {
      if (hot === undefined) return inTime(once(work));
      const turn = turns.get(hot) ?? pLimit(1);
      turns.set(hot, turn);
      try {
        return await turn(() => inTime(once(work)));
      } finally {
        if (turn.activeCount === 0 && turn.pendingCount === 0) turns.delete(hot);
      }
    },
    afterCommit(session, act) {
      if (session === null) act();
      else if (session.inTransaction()) afterwards.get(session)?.push(act);
      else throw new Error('The session is in no transaction');
    },
    async ping() {
      await connection.db?.admin().ping();
    },
    // Unlike `close`, it leaves mongoose nothing to remember.
    close: () => connection.destroy(),
  };
}

/** The driver's code for a broken unique index. */
export function isDuplicateKey(error: unknown): boolean {
  return typeof error === 'object' && error !== null && (error as { code?: unknown }).code === 11000;
}

/** The database could not be reached: what the driver throws then, by name, since it has many classes for it. */
export function isDatabaseDown(error: unknown): boolean {
  const name = (error as { name?: unknown } | null)?.name;
  return (
    typeof name === 'string' &&
    /^(Mongo(ServerSelection|Network|NetworkTimeout|PoolCleared|PoolClosed|NotConnected|TopologyClosed|ExpiredSession)Error|MongooseServerSelectionError|PoolClearedOnNetworkError|MongoOperationTimeoutError)$/.test(
      name,
    )
  );
}

/**
 * A document that must be there, and the caller's: what is not is 404, whoever else has it.
 * @param isTheirs judged here where it is read by its id alone (ADR 4)
 */
export function found<T>(
  document: T | null | undefined,
  what: string,
  isTheirs: (document: T) => boolean = () => true,
): T {
  if (document === null || document === undefined || !isTheirs(document))
    throw new HubError('not_found', `There is no such ${what}`);
  return document;
}

export interface Page<T> {
  readonly items: T[];
  readonly nextCursor: string | null;
}
export interface PageRequest {
  readonly limit: number;
  /** The `_id` after which to go on. */
  readonly after: string | null;
}

/** The order of lists that show the newest first, by the time field named; ids decide between equal times. */
export function newestFirst(field: string): Record<string, -1> {
  return { [field]: -1, _id: -1 };
}

/** What comes after a cursor made by `timeCursor`, in that order. */
export function olderThan<T>(field: string, after: string | null): QueryFilter<T> {
  const [time, id] = after?.split('|', 2) ?? [];
  if (time === undefined || id === undefined) return {};
  const at = new Date(Number(time));
  return { $or: [{ [field]: { $lt: at } }, { [field]: at, _id: { $lt: id } }] } as QueryFilter<T>;
}

export function timeCursor(at: Date, id: string): string {
  return `${at.getTime()}|${id}`;
}

/** Cuts one row more than asked for into a page and the cursor of the next. */
export function toPage<T>(rows: T[], limit: number, cursorOf: (row: T) => string): Page<T> {
  const items = rows.slice(0, limit);
  const last = items.at(-1);
  return { items, nextCursor: rows.length > limit && last !== undefined ? cursorOf(last) : null };
}

/** As the database sorts texts: by code point, where JavaScript compares halves of letters. */
export const inOrder = (a: string, b: string): number => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** A page of rows that are all here. `positionOf` is unique. */
export function pageOf<T>(rows: readonly T[], { limit, after }: PageRequest, positionOf: (row: T) => string): Page<T> {
  const rest = rows
    .filter((row) => after === null || inOrder(positionOf(row), after) > 0)
    .sort((a, b) => inOrder(positionOf(a), positionOf(b)));
  return toPage(rest, limit, positionOf);
}
