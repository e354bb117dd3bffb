/** TCP ports on this machine. */
import { mkdirSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir, userInfo } from 'node:os';
import { join } from 'node:path';
import { takeLock } from './lock';

/** Below the range that systems take outgoing ports from: else a client could occupy the port of a stopped engine. */
const RANDOM_PORTS = { first: 15_000, last: 29_999 } as const;
const NEIGHBOURS = 50;
/**
 * A chosen port is listened on only seconds later. So that two starts side by side do not choose the same, each claims
 * its ports here; a claim ends with its process.
 */
const CLAIMS_FOLDER = join(tmpdir(), `tradelane-ports-${userInfo().uid}`);
const releases = new Set<() => void>();
process.on('exit', () => {
  for (const release of releases) release();
});

function canListen(port: number, host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once('error', () => resolve(false));
    server.listen({ port, host, exclusive: true }, () => server.close(() => resolve(true)));
  });
}

/** Whether nobody listens on the port, neither on loopback nor on all addresses. */
export async function isPortFree(port: number): Promise<boolean> {
  return (await canListen(port, '127.0.0.1')) && (await canListen(port, '0.0.0.0'));
}

/** Claims the port for this process, if it is free and nobody's. */
async function claim(port: number): Promise<boolean> {
  if (!(await isPortFree(port))) return false;
  mkdirSync(CLAIMS_FOLDER, { recursive: true, mode: 0o700 });
  const lock = await takeLock(join(CLAIMS_FOLDER, `${port}`));
  if ('holder' in lock) return false;
  releases.add(lock.release);
  return true;
}

/** A free port that nobody else was given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = RANDOM_PORTS.first + Math.floor(Math.random() * (RANDOM_PORTS.last - RANDOM_PORTS.first + 1));
    if (await claim(port)) return port;
  }
}

/** The wanted port if it is free, else one of its next neighbours, else any. */
export async function freePortNear(wanted: number): Promise<number> {
  for (let port = wanted; port < Math.min(wanted + NEIGHBOURS, 65_536); port++) {
    if (await claim(port)) return port;
  }
  return freePort();
}
