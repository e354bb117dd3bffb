/** Lazada's signatures: HMAC-SHA256 under the app secret (platforms.md, Lazada). */
import { createHmac } from 'node:crypto';

/**
 * The `sign` parameter of a call, upper hex: the path without `/rest`, then every text parameter but `sign`, sorted by
 * name (by code unit, as ASCII), name and value joined with nothing between.
 */
export function signLazadaCall(appSecret: string, path: string, parameters: Readonly<Record<string, string>>): string {
  const message = Object.keys(parameters)
    .filter((name) => name !== 'sign')
    .sort()
    .reduce((text, name) => text + name + parameters[name], path);
  return createHmac('sha256', appSecret).update(message, 'utf8').digest('hex').toUpperCase();
}

/** What the `Authorization` header of an incoming push must be, lower hex. */
export function signLazadaPush(appKey: string, appSecret: string, rawBody: Buffer): string {
  return createHmac('sha256', appSecret).update(appKey).update(rawBody).digest('hex');
}
