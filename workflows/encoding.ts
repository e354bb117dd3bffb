/** Payloads leave this process encrypted: AES-256-GCM with a key id, so that keys can be rotated. Used by clients and workers alike. */
import { createCipheriv, createDecipheriv, randomBytes } from 'node:crypto';
import { type DataConverter, METADATA_ENCODING_KEY, type Payload, type PayloadCodec } from '@temporalio/common';
import { temporal } from '@temporalio/proto';

export interface PayloadKey {
  readonly id: string;
  readonly key: Buffer;
}

const ENCODING = Buffer.from('binary/encrypted');
const IV_BYTES = 12;
const TAG_BYTES = 16;

/** The first key encrypts, all decrypt. Payloads that came in clear (from the Temporal UI's signals) are taken as they are. */
export function createPayloadCodec(keys: readonly PayloadKey[]): PayloadCodec {
  const [current] = keys;
  if (!current) throw new Error('The payload codec needs a key');
  const byId = new Map(keys.map(({ id, key }) => [id, key]));
  return {
    async encode(payloads) {
      return payloads.map((payload) => {
        const iv = randomBytes(IV_BYTES);
        const cipher = createCipheriv('aes-256-gcm', current.key, iv);
        const bytes = temporal.api.common.v1.Payload.encode(payload).finish();
        const sealed = Buffer.concat([cipher.update(bytes), cipher.final()]);
        return {
          metadata: { [METADATA_ENCODING_KEY]: ENCODING, 'encryption-key-id': Buffer.from(current.id) },
          data: Buffer.concat([iv, cipher.getAuthTag(), sealed]),
        };
      });
    },
    async decode(payloads) {
      return payloads.map((payload): Payload => {
        const encoding = payload.metadata?.[METADATA_ENCODING_KEY];
        if (!encoding || Buffer.compare(Buffer.from(encoding), ENCODING) !== 0) return payload;
        const id = Buffer.from(payload.metadata?.['encryption-key-id'] ?? []).toString();
        const key = byId.get(id);
        if (!key) throw new Error(`There is no payload key ${id} here`);
        const data = Buffer.from(payload.data ?? []);
        const decipher = createDecipheriv('aes-256-gcm', key, data.subarray(0, IV_BYTES), { authTagLength: TAG_BYTES });
        decipher.setAuthTag(data.subarray(IV_BYTES, IV_BYTES + TAG_BYTES));
        const bytes = Buffer.concat([decipher.update(data.subarray(IV_BYTES + TAG_BYTES)), decipher.final()]);
        return temporal.api.common.v1.Payload.decode(bytes);
      });
    },
  };
}

/** Where the failure converter stands, for those that load it by name. */
export const FAILURE_CONVERTER_PATH = require.resolve('./failure-converter');

export function createDataConverter(keys: readonly PayloadKey[]): DataConverter {
  return { payloadCodecs: [createPayloadCodec(keys)], failureConverterPath: FAILURE_CONVERTER_PATH };
}
