/** TikTok Shop's signatures: HMAC-SHA256, lower hex (platforms.md, TikTok Shop). The rest of this connector comes later. */
import { createHmac } from 'node:crypto';

const NOT_SIGNED = new Set(['sign', 'access_token']);

/**
 * The `sign` parameter of a call: secret + path + every query parameter but `sign` and `access_token`, sorted by name,
 * name and value joined + raw body (empty for GET and multipart) + secret, keyed with the secret.
 */
export function signTiktokCall(
  appSecret: string,
  path: string,
  query: Readonly<Record<string, string>>,
  rawBody = '',
): string {
  const parameters = Object.keys(query)
    .filter((name) => !NOT_SIGNED.has(name))
    .sort()
    .reduce((text, name) => text + name + query[name], '');
  const message = `${appSecret}${path}${parameters}${rawBody}${appSecret}`;
  return createHmac('sha256', appSecret).update(message, 'utf8').digest('hex');
}

/** What the `Authorization` header of an incoming push must be. */
export function signTiktokPush(appKey: string, appSecret: string, rawBody: Buffer): string {
  return createHmac('sha256', appSecret).update(appKey).update(rawBody).digest('hex');
}
