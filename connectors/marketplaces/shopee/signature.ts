/** Shopee's signatures: HMAC-SHA256 under the partner key, lower hex (platforms.md, Shopee). */
import { createHmac } from 'node:crypto';

export interface ShopeeSignatureInput {
  readonly partnerId: string;
  readonly partnerKey: string;
  /** With `/api/v2`, without any prefix of the base URL. */
  readonly path: string;
  /** Seconds. */
  readonly timestamp: number;
  /** Only for a shop call; a public call signs without them. */
  readonly shop?: { readonly accessToken: string; readonly shopId: string };
}

/** The `sign` parameter of a call. Body and business parameters are not signed. */
export function signShopeeCall(input: ShopeeSignatureInput): string {
  const base = `${input.partnerId}${input.path}${input.timestamp}`;
  const message = input.shop ? `${base}${input.shop.accessToken}${input.shop.shopId}` : base;
  return createHmac('sha256', input.partnerKey).update(message).digest('hex');
}

/** What the `Authorization` header of an incoming push must be. */
export function signShopeePush(partnerKey: string, callbackUrl: string, rawBody: Buffer): string {
  return createHmac('sha256', partnerKey).update(`${callbackUrl}|`).update(rawBody).digest('hex');
}
