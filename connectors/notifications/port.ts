/** What carries notifications out of the hub. */
import type { LookupFunction } from 'node:net';
import type { OutsideMessage } from '../../domain/notifications';

export type DeliveryErrorKind =
  /** May work later. */
  | 'unavailable'
  /** Never will, as the address stands. */
  | 'refused'
  /** The hub has no such channel. */
  | 'not_configured';

/**
 * Why a message did not go out, in our own words: what a receiver or a library says may hold addresses, and never gets
 * into this, nor does what it was caused by.
 */
export class DeliveryError extends Error {
  override readonly name = 'DeliveryError';
  constructor(
    readonly kind: DeliveryErrorKind,
    message: string,
    /** The receiver asked to be left alone for so long. Milliseconds. */
    readonly retryAfterMs?: number,
  ) {
    super(message);
  }
}

/** True for a `DeliveryError`, judged by name so that module copies don't matter. */
export function isDeliveryError(error: unknown): error is DeliveryError {
  return (error as { name?: unknown } | null)?.name === 'DeliveryError';
}

export interface Notifiers {
  /** Sends one mail. Throws a `DeliveryError`. */
  mail(address: string, message: OutsideMessage): Promise<void>;
  /** Makes one signed call. `secrets`: each signs; the newest first. Throws a `DeliveryError`. */
  call(endpoint: { readonly url: string; readonly secrets: readonly string[] }, message: OutsideMessage): Promise<void>;
}

export interface NotifierOptions {
  readonly smtp?: { readonly url: string; readonly from: string } | undefined;
  /** Endpoints in private networks, and without TLS. */
  readonly allowPrivateAddresses: boolean;
  /** One try, from connecting to the answer. Milliseconds. */
  readonly timeoutMs: number;
  /** Authorities that endpoints' certificates may come from, instead of the usual ones. PEM. */
  readonly certificateAuthority?: string | undefined;
  /** Resolves endpoints' names, instead of the system. */
  readonly lookup?: LookupFunction | undefined;
}
