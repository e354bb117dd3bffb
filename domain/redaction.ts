/**
 * What must not be written where people read: logs and audit rows. Told by the name of the field that holds it, and where
 * it can be, by the look of the text.
 */

export const REDACTED = '[redacted]';

/** Names of fields that hold secrets, compared without case, `_` and `-`; a match inside the name is enough. */
const SECRET_NAMES = [
  'authorization',
  'password',
  'passphrase',
  'secret',
  'token',
  'apikey',
  'adminkey',
  'partnerkey',
  'appkey',
  'datakey',
  'payloadkey',
  'privatekey',
  'cookie',
  'signature',
  'credential',
];
/** Names of fields that hold personal data or other people's bodies; the whole name must match. */
const PERSONAL_NAMES = new Set([
  'sign',
  'key',
  'recipient',
  'recipientname',
  'buyer',
  'buyername',
  'buyerusername',
  'contactname',
  'fullname',
  'firstname',
  'lastname',
  'phone',
  'phonenumber',
  'mobile',
  'email',
  'address',
  'fulladdress',
  'addressline1',
  'addressline2',
  'recipientaddress',
  'shippingaddress',
  'billingaddress',
  'zipcode',
  'postcode',
  'postalcode',
  'message',
  'note',
  'body',
  'rawbody',
  'payload',
  'headers',
]);
/** Secrets that can be told by their look, also inside a text: bearer keys, passwords inside addresses. */
const SECRET_TEXTS: readonly [RegExp, string][] = [
  [/\bBearer\s+[\w.~+/=-]+/gi, `Bearer ${REDACTED}`],
  [/(\b[a-z][a-z0-9+.-]*:\/\/[^\s:/@]*:)[^\s@/]+@/gi, `$1${REDACTED}@`],
  [/([?&](?:access_token|refresh_token|sign|code|key|secret)=)[^&\s]+/gi, `$1${REDACTED}`],
];

/** Whether a field of this name holds a secret or personal data. */
export function isHidden(name: string): boolean {
  const plain = name
    .toLowerCase()
    .replace(/^field_/, '')
    .replace(/[_-]/g, '');
  return PERSONAL_NAMES.has(plain) || SECRET_NAMES.some((secret) => plain.includes(secret));
}

/** The text without secrets that can be told by their look. */
export function redactSecrets(text: string): string {
  let result = text;
  for (const [pattern, replacement] of SECRET_TEXTS) result = result.replace(pattern, replacement);
  return result;
}
