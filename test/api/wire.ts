import { connect, createServer, type Server, type Socket } from 'node:net';

/** A wire to the database that can be cut and mended. */
export async function wireTo(uri: string) {
  const target = new URL(uri);
  const there = { host: target.hostname, port: Number(target.port) };
  const open = new Set<Socket>();
  let server: Server | undefined;
  let port = 0;
  const mend = () =>
    new Promise<void>((resolve) => {
      const listening = createServer((client) => {
        const upstream = connect(there);
        for (const socket of [client, upstream]) {
          open.add(socket);
          socket.on('error', () => {});
          socket.on('close', () => {
            open.delete(socket);
            client.destroy();
            upstream.destroy();
          });
        }
        client.pipe(upstream).pipe(client);
      });
      server = listening;
      listening.listen(port, '127.0.0.1', () => {
        port = (listening.address() as { port: number }).port;
        resolve();
      });
    });
  const cut = () =>
    new Promise<void>((resolve) => {
      server?.close(() => resolve());
      for (const socket of open) socket.destroy();
    });
  await mend();
  target.port = String(port);
  return { uri: target.toString(), cut, mend };
}
