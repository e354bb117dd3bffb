/** A lock file: who holds something that only one process may have. A dead holder's lock is taken over. */
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { processIdentity } from './processes';

const TRIES = 20;

export interface Holder {
  readonly pid: number;
  /** Tells the holder from a later process with the same pid. */
  readonly identity: string;
  /** ISO time. */
  readonly since: string;
}

/** The lock is ours until `release`, which may be called again; or it is that living process's (perhaps this one's). */
export type LockResult = { readonly release: () => void } | { readonly holder: Holder };

/** Takes the lock, or says who has it. */
export async function takeLock(lock: string): Promise<LockResult> {
  const own = JSON.stringify({
    pid: process.pid,
    identity: (await processIdentity(process.pid)) ?? '',
    since: new Date().toISOString(),
  } satisfies Holder);
  for (let attempt = 0; attempt < TRIES; attempt++) {
    if (createLock(lock, own)) return { release: () => releaseLock(lock, own) };
    const found = readLock(lock);
    if (found === undefined) continue; // Released while we looked.
    const holder = parseHolder(found);
    if (holder !== undefined && (await isAlive(holder))) return { holder };
    dropStaleLock(lock, found);
  }
  throw new Error(`${lock} changes hands too fast; try again.`);
}

async function isAlive(holder: Holder): Promise<boolean> {
  return (await processIdentity(holder.pid)) === holder.identity;
}

function releaseLock(lock: string, own: string): void {
  if (readLock(lock) === own) rmSync(lock, { force: true });
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
  const found = readLock(aside);
  if (found !== stale && found !== undefined) createLock(lock, found);
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
