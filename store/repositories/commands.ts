/**
 * What commands came to, so that one which is repeated late, after others like it, is answered as done. The documents themselves
 * remember their last command alone.
 */
import type { ClientSession } from 'mongoose';
import type { Database } from '../database';

/** A repeat comes within a day: as long as its Idempotency-Key is known. Kept a little longer. Milliseconds. */
const KEPT_MS = 25 * 3_600_000;

/** What a command was about, and on which document. */
export type CommandKind = 'recall' | 'recall-answer' | 'cancel' | 'stock-in';

export function createCommandLog({ models, now }: Database) {
  const idOf = (kind: CommandKind, document: string, command: string) => `${kind}/${document}/${command}`;
  return {
    /** What this command came to; null where it was not done, or too long ago. */
    async resultOf(
      session: ClientSession | null,
      kind: CommandKind,
      document: string,
      command: string,
    ): Promise<string | null> {
      const row = await models.commands
        .findById(idOf(kind, document, command))
        .session(session)
        .lean();
      return row?.result ?? null;
    },

    /** In the transaction of what it did; noted once. */
    async note(
      session: ClientSession,
      kind: CommandKind,
      document: string,
      { command, result }: { command: string; result: string },
    ): Promise<void> {
      await models.commands.collection.insertOne(
        {
          _id: idOf(kind, document, command),
          result,
          expiresAt: new Date(now().getTime() + KEPT_MS),
        } as never,
        { session },
      );
    },
  };
}
