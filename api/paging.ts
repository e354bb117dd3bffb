/** Cursors: opaque, bound to the account and the list they came from, and refused where a bit of them was changed. */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { invalidInput } from './problems';
import { z } from './schemas/zod';

const DEFAULT_LIMIT = 50;
const MOST = 200;
const MAC_BYTES = 12;

/** The fields that every list adds to its query. */
export const pageQuery = {
  limit: z
    .string()
    .regex(/^\d{1,4}$/, 'must be a whole number')
    .transform(Number)
    .refine((value) => value >= 1 && value <= MOST, `must lie between 1 and ${MOST}`)
    .default(DEFAULT_LIMIT)
    .openapi({ type: 'integer', minimum: 1, maximum: MOST, default: DEFAULT_LIMIT }),
  cursor: z.string().max(2000).optional().openapi({ description: 'The `nextCursor` of the page before' }),
};

export interface CursorSeal {
  seal(position: string, scope: string): string;
  /** 422 where the cursor is not one that `seal` made for this scope. */
  open(cursor: string, scope: string): string;
}

/** @param secret any secret that all API processes share */
export function createCursorSeal(secret: string): CursorSeal {
  const key = createHash('sha256').update(`cursor\n${secret}`).digest();
  const macOf = (position: string, scope: string) =>
    createHmac('sha256', key).update(`${scope}\n${position}`).digest().subarray(0, MAC_BYTES);
  return {
    seal: (position, scope) => Buffer.concat([macOf(position, scope), Buffer.from(position)]).toString('base64url'),
    open(cursor, scope) {
      const bytes = Buffer.from(cursor, 'base64url');
      const position = bytes.subarray(MAC_BYTES).toString('utf8');
      const mac = bytes.subarray(0, MAC_BYTES);
      // Node reads past letters that are not base64url, so the text must also be what it would write.
      if (
        mac.length < MAC_BYTES ||
        bytes.toString('base64url') !== cursor ||
        !timingSafeEqual(mac, macOf(position, scope))
      )
        throw invalidInput([
          { pointer: '/query/cursor', code: 'invalid_cursor', detail: 'Give the nextCursor of this list, unchanged' },
        ]);
      return position;
    },
  };
}
