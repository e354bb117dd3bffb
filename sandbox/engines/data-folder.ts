/** One owner for a data folder: the engines' files are damaged when two processes open them. */
import { mkdirSync, readdirSync, realpathSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { type Holder, takeLock } from './lock';

const LOCK_NAME = 'lock.json';

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
  const lock = await takeLock(join(path, LOCK_NAME));
  if ('holder' in lock) throw new DataFolderInUseError(path, lock.holder);
  return {
    path,
    wipe: () => {
      for (const name of readdirSync(path)) {
        if (name !== LOCK_NAME) rmSync(join(path, name), { recursive: true, force: true });
      }
    },
    release: lock.release,
  };
}
