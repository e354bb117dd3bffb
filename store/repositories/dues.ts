/**
 * Due marks: what a lane has to send. A change writes its marks in its own transaction, so that a process that dies
 * after it still leads to the push; the lane removes a mark only if no newer change has drawn another stamp for it.
 */
import type { ClientSession } from 'mongoose';
import { newId } from '../../domain/ids';
import type { Database } from '../database';
import type { DueDoc } from '../models/documents';

export interface DueSubject {
  readonly lane: string;
  readonly account: string;
  readonly subject: string;
  readonly item: string;
}

export interface DueOptions {
  readonly cause: string;
  /** A zero, or what must overtake what waits. */
  readonly urgent?: boolean;
  /** Send although the store has that quantity. */
  readonly forced?: boolean;
}

export type DueRepository = ReturnType<typeof createDueRepository>;

export function createDueRepository({ models, now }: Database) {
  return {
    /** Marks the subjects as due, in the caller's transaction. @returns the lanes to wake after the commit. */
    async mark(session: ClientSession | null, subjects: readonly DueSubject[], options: DueOptions): Promise<string[]> {
      if (subjects.length === 0) return [];
      const at = now();
      await models.dues.collection.bulkWrite(
        subjects.map(({ lane, account, subject, item }) => ({
          updateOne: {
            filter: { _id: `${lane}|${subject}` },
            update: {
              $inc: { changes: 1 },
              $set: { cause: options.cause, failed: false, tries: 0, stamp: newId('command') },
              $max: { urgent: options.urgent ?? false, forced: options.forced ?? false },
              $setOnInsert: { lane, account, subject, item, since: at },
            },
            upsert: true,
          },
        })) as never,
        { ordered: true, ...(session ? { session } : {}) },
      );
      return [...new Set(subjects.map(({ lane }) => lane))];
    },

    /**
     * The next marks of a lane, zeros first, then the oldest.
     * @param sameItem all belong to the item of the first one
     */
    async next(lane: string, limit: number, sameItem: boolean): Promise<DueDoc[]> {
      const order = { urgent: -1, since: 1 } as const;
      if (!sameItem) return models.dues.find({ lane, failed: false }).sort(order).limit(limit).lean();
      const first = await models.dues.findOne({ lane, failed: false }).sort(order).lean();
      if (!first) return [];
      // Urgent ones of the item come first here too, so that a full call never leaves a zero behind for others.
      return models.dues.find({ lane, item: first.item, failed: false }).sort(order).limit(limit).lean();
    },

    /** Removes the marks that are still as they were read. A newer change stays due. */
    async settle(session: ClientSession | null, dues: readonly Pick<DueDoc, '_id' | 'stamp'>[]): Promise<void> {
      if (dues.length === 0) return;
      await models.dues.collection.bulkWrite(
        dues.map(({ _id, stamp }) => ({ deleteOne: { filter: { _id, stamp } } })) as never,
        { ordered: false, ...(session ? { session } : {}) },
      );
    },

    /** What the platform asked to try again goes to the back of its lane, so that it holds up nothing else. */
    async postpone(dues: readonly Pick<DueDoc, '_id' | 'stamp'>[]): Promise<void> {
      if (dues.length === 0) return;
      const since = now();
      await models.dues.collection.bulkWrite(
        dues.map(({ _id, stamp }) => ({
          updateOne: { filter: { _id, stamp }, update: { $inc: { tries: 1 }, $set: { since } } },
        })) as never,
        { ordered: false },
      );
    },

    async waiting(lane: string): Promise<number> {
      return models.dues.countDocuments({ lane, failed: false });
    },

    /** Everything a lane has to send. */
    async all(lane: string): Promise<DueDoc[]> {
      return models.dues.find({ lane, failed: false }).lean();
    },

    /** Sets aside what a lane could not send, until the next change of it. */
    async setAside(dues: readonly Pick<DueDoc, '_id' | 'stamp'>[]): Promise<void> {
      if (dues.length === 0) return;
      await models.dues.collection.bulkWrite(
        dues.map(({ _id, stamp }) => ({
          updateOne: { filter: { _id, stamp }, update: { $set: { failed: true } } },
        })) as never,
        { ordered: false },
      );
    },

    /** Lanes with marks older than the given time: their workflow should be running. */
    async lanesWaitingSince(before: Date): Promise<string[]> {
      const lanes = await models.dues.distinct('lane', { failed: false, since: { $lt: before } });
      return lanes as string[];
    },
  };
}
