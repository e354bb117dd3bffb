/** The HTTP edge on a port of its own, over given parts. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { createApp } from '../../api/app';
import type { ApiDeps } from '../../api/hub';

/** Webhook signatures cover the address, so it is known before the edge is made. */
export async function serveApi(deps: Omit<ApiDeps, 'config'>, { answerMs = 60_000 } = {}) {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const url = `http://127.0.0.1:${port}`;
  server.on(
    'request',
    createApp({
      ...deps,
      config: {
        notifications: { smtp: undefined, allowPrivateAddresses: true },
        adminKey: 'the-admin-key-of-the-tests-only',
        api: { publicUrl: url, rateLimitPerMinute: 1_000_000, bodyLimitBytes: 1024 * 1024 },
        recall: { answerMs },
      },
    }),
  );
  return {
    url,
    port,
    async close() {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}
