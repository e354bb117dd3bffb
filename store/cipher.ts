/**
 * Encryption of single fields: personal data, secrets, kept answers, inbox bodies. AES-256-GCM; the context (account and
 * purpose) is authenticated with it, so that a value copied to another account's document can't be opened there.
 */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';

export interface KeyRing {
  /** The first seals; all open. */
  readonly keys: readonly { readonly id: string; readonly key: Buffer }[];
}

/** A sealed text: `v1.<key id>.<base64url of iv, tag and ciphertext>`. */
export type Sealed = string;

export interface FieldCipher {
  seal(text: string, context: string): Sealed;
  /** Throws where the key is unknown, the context another, or a bit was changed. */
  open(sealed: Sealed, context: string): string;
  /** The same for bytes, a third shorter: what `openBytes` opens. */
  sealBytes(bytes: Buffer, context: string): Buffer;
  openBytes(sealed: Buffer, context: string): Buffer;
}

const IV_BYTES = 12;
const TAG_BYTES = 16;

export function createFieldCipher(ring: KeyRing): FieldCipher {
  const [current] = ring.keys;
  if (!current) throw new Error('A field cipher needs a key');
  const byId = new Map(ring.keys.map(({ id, key }) => [id, key]));
  const keyOf = (version: string | undefined, id: string | undefined): Buffer => {
    const key = id === undefined ? undefined : byId.get(id);
    if (version !== 'v1' || !key) throw new Error('The sealed value has no key here');
    return key;
  };
  return {
    sealBytes(bytes, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', current.key, iv).setAAD(Buffer.from(context));
      const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
      return Buffer.concat([Buffer.from(`v1.${current.id}.`), iv, cipher.getAuthTag(), sealed]);
    },
    openBytes(sealed, context) {
      const headEnd = sealed.indexOf('.', sealed.indexOf('.') + 1) + 1;
      const [version, id] = sealed.toString('latin1', 0, headEnd).split('.');
      const tagAt = headEnd + IV_BYTES;
      const bodyAt = tagAt + TAG_BYTES;
      const decipher = createDecipheriv('aes-256-gcm', keyOf(version, id), sealed.subarray(headEnd, tagAt), {
        authTagLength: TAG_BYTES,
      })
        .setAAD(Buffer.from(context))
        .setAuthTag(sealed.subarray(tagAt, bodyAt));
      return Buffer.concat([decipher.update(sealed.subarray(bodyAt)), decipher.final()]);
    },
    seal(text, context) {
      const iv = randomBytes(IV_BYTES);
      const cipher = createCipheriv('aes-256-gcm', current.key, iv).setAAD(Buffer.from(context));
      const sealed = Buffer.concat([cipher.update(text, 'utf8'), cipher.final()]);
      return `v1.${current.id}.${Buffer.concat([iv, cipher.getAuthTag(), sealed]).toString('base64url')}`;
    },
    open(sealed, context) {
      const [version, id, body] = sealed.split('.');
      const key = id === undefined ? undefined : byId.get(id);
      if (version !== 'v1' || !key || !body) throw new Error('The sealed value has no key here');
      const bytes = Buffer.from(body, 'base64url');
      const decipher = createDecipheriv('aes-256-gcm', key, bytes.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES })
        .setAAD(Buffer.from(context))
        .setAuthTag(bytes.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
      return `${decipher.update(bytes.subarray(IV_BYTES + TAG_BYTES), undefined, 'utf8')}${decipher.final('utf8')}`;
    },
  };
}
