import { local, store } from './proxies';

export interface PublicationInput {
  readonly supplier: string;
  readonly sku: string;
  readonly attempt: number;
}

/**
 * Puts a distribution product into the distributors' unclaimed lists: `publishing` → `enabled`. Contract: catalogue.md.
 * Id `publication/{supplier}/{sku}/{attempt}`. Our own database only, so it is retried until it is done.
 */
export async function productPublication(input: PublicationInput): Promise<void> {
  await local.publishProduct(input).catch(() => store.publishProduct(input));
}
