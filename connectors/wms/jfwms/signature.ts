/** JFWMS' signature: HMAC-SHA256, lower hex (platforms.md, JFWMS). The rest of this connector comes later. */
import { createHmac } from 'node:crypto';

export interface JfwmsSignatureInput {
  readonly clientId: string;
  readonly clientSecret: string;
  readonly accessToken: string;
  readonly userId: string;
  /** E.g. `/api/order/get`. */
  readonly path: string;
  /** Milliseconds. */
  readonly timestamp: number;
  readonly nonce: string;
}

/** The `sign` header of a call (always a POST). The body is not signed. */
export function signJfwmsCall(input: JfwmsSignatureInput): string {
  const message = [
    `accessToken=${input.accessToken}`,
    `clientId=${input.clientId}`,
    'method=post',
    `nonce=${input.nonce}`,
    `timestamp=${input.timestamp}`,
    `url=${input.path}`,
    `userId=${input.userId}`,
  ].join('&');
  return createHmac('sha256', input.clientSecret).update(message, 'utf8').digest('hex');
}
