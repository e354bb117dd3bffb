/** One owner for a data folder: the engines' files are damaged when two processes open them. */
import {
  linkSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  realpathSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { processIdentity } from './processes';

const LOCK_NAME = 'lock.json';
const TRIES = 20;

interface Holder {
  readonly pid: number;
  /** Tells the holder from a later process with the same pid. */
  readonly identity: string;
  /** ISO time. */
  readonly since: string;
}

/** Somebody else owns the data folder; the message says who, and what to do. */
export class DataFolderInUseError extends Error {
  constructor(
    readonly folder: string,
    readonly holder: Holder,
  ) {
    super(
      `The data folder ${folder} is in use by process ${holder.pid}, since ${holder.since}. ` +
        `End that one first (Ctrl-C where it runs, or: kill ${holder.pid}), or give another folder.`,
    );
    this.name = 'DataFolderInUseError';
  }
}

/** A data folder that this process owns until `release`. */
export interface DataFolder {
  /** Absolute, without symbolic links. */
  readonly path: string;
  /** Removes everything in the folder but the lock. */
  wipe(): void;
  /** Gives the folder free. Calling it again does nothing. */
  release(): void;
}

/**
 * Makes the folder where it is missing and takes it. A lock whose holder is dead is taken over.
 * Throws DataFolderInUseError when a living process, this one included, holds it.
 */
export async function takeDataFolder(folder: string): Promise<DataFolder> {
  mkdirSync(folder, { recursive: true, mode: 0o700 });
  const path = realpathSync(folder);
  const lock = join(path, LOCK_NAME);
  const own = JSON.stringify({
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? '',
    since: new Date().toISOString(),
  } satisfies Holder);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (createLock(lock, own)) return owned(path, lock, own);
    const found = readLock(lock);
    if (found === undefined) continue; // Released while we looked.
    const holder = parseHolder(found);
    if (holder !== undefined && (await processIdentity(holder.pid)) === holder.identity) {
      throw new DataFolderInUseError(path, holder);
    }
    dropStaleLock(lock, found);
  }
  throw new Error(`The lock of ${path} changes hands too fast; try again.`);
}

function owned(path: string, lock: string, own: string): DataFolder {
  return {
    path,
    wipe: () => {
      for (const name of readdirSync(path)) {
        if (name !== LOCK_NAME) rmSync(join(path, name), { recursive: true, force: true });
      }
    },
    release: () => {
      if (readLock(lock) === own) rmSync(lock, { force: true });
    },
  };
}

/** A whole lock file or none: it is written aside and linked in place, which fails where one is there. */
function createLock(lock: string, content: string): boolean {
  const aside = `${lock}.${process.pid}.${Math.random().toString(36).slice(2)}`;
  writeFileSync(aside, content, { mode: 0o600 });
  try {
    linkSync(aside, lock);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  } finally {
    rmSync(aside, { force: true });
  }
}

/** Takes a dead holder's lock away; puts back what it finds if somebody else was faster. */
function dropStaleLock(lock: string, stale: string): void {
  const aside = `${lock}.stale.${process.pid}.${Math.random().toString(36).slice(2)}`;
  try {
    renameSync(lock, aside);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw error;
  }
  if (readLock(aside) !== stale) createLock(lock, readLock(aside) ?? '');
  rmSync(aside, { force: true });
}

function readLock(lock: string): string | undefined {
  try {
    return readFileSync(lock, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}

function parseHolder(text: string): Holder | undefined {
  try {
    const holder = JSON.parse(text) as Partial<Holder>;
    return typeof holder.pid === 'number' && typeof holder.identity === 'string' ? (holder as Holder) : undefined;
  } catch {
    return undefined;
  }
}

/** Whether a living process owns the folder. */
export async function isDataFolderTaken(folder: string): Promise<boolean> {
  const text = readLock(join(folder, LOCK_NAME));
  const holder = text === undefined ? undefined : parseHolder(text);
  return holder !== undefined && (await processIdentity(holder.pid)) === holder.identity;
}
