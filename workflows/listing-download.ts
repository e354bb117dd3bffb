import { failureWords } from './failures';
import { download, store } from './proxies';

export interface ListingDownloadInput {
  readonly account: string;
  readonly store: string;
  readonly job: string;
}

/**
 * Fetches a store's listings page by page and connects them to SKUs by code. Contract: store-products.md, Download.
 * Id `listing-download/{store}/{job}`. It goes on at the page where it stopped; when its tries are used up the operation
 * ends as failed with the platform's words, and another download may be asked for.
 */
export async function listingDownload(input: ListingDownloadInput): Promise<void> {
  try {
    await download.downloadListings(input);
  } catch (error) {
    await store.failDownload({ ...input, ...failureWords(error) });
  }
}
