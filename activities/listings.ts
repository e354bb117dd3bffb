/** Downloading a store's listings. */

import type { ListingPage } from '../connectors/port';
import type { FailureCode } from '../domain/failures';
import { processId } from '../domain/process-ids';
import { whileAlive } from './alive';
import type { ActivityDeps } from './deps';

interface DownloadInput {
  readonly account: string;
  readonly store: string;
  readonly job: string;
}

/** Where a download is: what the next try goes on from. */
interface DownloadPosition {
  readonly cursor: string | null;
  readonly fetched: number;
  readonly connected: number;
}

export function createListingActivities({ store, access, processes, heartbeat, lastHeartbeat }: ActivityDeps) {
  return {
    /** Fetches page by page; a repeated page puts the same listings again. */
    async downloadListings(input: DownloadInput): Promise<{ fetched: number; connected: number }> {
      const workflowId = processId('listing-download', input);
      const row = await store.stores.get(input.account, input.store);
      let position = (lastHeartbeat() as DownloadPosition | undefined) ?? { cursor: null, fetched: 0, connected: 0 };
      for (;;) {
        const { cursor } = position;
        const reached = position;
        const { page, connected, lanes } = await whileAlive(
          () => heartbeat(reached),
          async () => {
            const fetched: ListingPage = await access.call(row._id, (connector, shop) =>
              connector.listListings(shop, { cursor }),
            );
            return { page: fetched, ...(await store.stores.putListings(row, fetched.listings)) };
          },
        );
        processes.wakeLanes(lanes);
        position = {
          cursor: page.nextCursor,
          fetched: position.fetched + page.listings.length,
          connected: position.connected + connected,
        };
        const progress = { done: position.fetched, failed: 0, total: position.fetched };
        if (page.nextCursor === null) {
          const { fetched, connected: joined } = position;
          await store.operations.end(null, workflowId, 'done', { result: { fetched, connected: joined }, progress });
          return { fetched, connected: joined };
        }
        await store.operations.progress(workflowId, progress);
        heartbeat(position);
      }
    },

    async failDownload(input: DownloadInput & { code: string; detail: string }): Promise<void> {
      await store.operations.end(null, processId('listing-download', input), 'failed', {
        error: { code: input.code as FailureCode, detail: input.detail },
      });
    },
  };
}
