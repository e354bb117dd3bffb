/** TCP ports on this machine. */
import { createServer } from 'node:net';

/** Below the range that systems take outgoing ports from: else a client could occupy the port of a stopped engine. */
const RANDOM_PORTS = { first: 15_000, last: 29_999 } as const;
const NEIGHBOURS = 50;

/** Given out by this process, so that two that start at once do not get the same. */
const givenOut = new Set<number>();

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

/** A free port that nobody else of this process was given. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = RANDOM_PORTS.first + Math.floor(Math.random() * (RANDOM_PORTS.last - RANDOM_PORTS.first + 1));
    if (!givenOut.has(port) && (await isPortFree(port))) {
      givenOut.add(port);
      return port;
    }
  }
}

/** The wanted port if it is free, else one of its next neighbours, else any. */
export async function freePortNear(wanted: number): Promise<number> {
  for (let port = wanted; port < Math.min(wanted + NEIGHBOURS, 65_536); port++) {
    if (!givenOut.has(port) && (await isPortFree(port))) {
      givenOut.add(port);
      return port;
    }
  }
  return freePort();
}
