/**
 * Labels that a distributor hands in for their supplier to print (the 3PL's, and on Temu their own), and those of platforms
 * that were printed. Contract: orders.md, Supply orders.
 */
import { createHash } from 'node:crypto';
import { Readable } from 'node:stream';
import type { ClientSession } from 'mongoose';
import { HubError } from '../../domain/failures';
import { labelSourceOf } from '../../domain/labels';
import type { PackageStatus } from '../../domain/orders';
import { type Database, found } from '../database';
import type { PackageDoc, SupplyOrderDoc } from '../models/documents';
import { createFileRepository, type StoredFile } from './files';

/** Too late for another label. */
const OVER: readonly PackageStatus[] = ['shipped', 'completed', 'recalled', 'cancelled'];

export interface NewLabel {
  /** A file that was received; it belongs to the package from then on. */
  readonly file: string;
  readonly bytes: number;
  readonly pages: number;
}

export function createLabelRepository(db: Database) {
  const { models, now } = db;
  const files = createFileRepository(db);

  /** 404; 409 `label_not_taken` where another brings the label, `invalid_transition` where it is too late. */
  async function openPackage(account: string, order: string, id: string, session?: ClientSession): Promise<PackageDoc> {
    const pkg = found(
      await models.packages
        .findOne({ _id: id, account, order })
        .session(session ?? null)
        .lean(),
      'package of this order',
    );
    const source = labelSourceOf(pkg.shipping, pkg.platform);
    if (pkg.partnership === null)
      throw new HubError('label_not_taken', 'The package is of the account’s own goods: no supplier prints its label');
    if (source !== 'third_party' && source !== 'distributor')
      throw new HubError('label_not_taken', `The label of this package is the ${source}’s`, { members: { source } });
    if (OVER.includes(pkg.status))
      throw new HubError('invalid_transition', `The package is ${pkg.status}: its label stays as it is`, {
        members: { currentStatus: pkg.status },
      });
    return pkg;
  }

  /** @returns the file that was there, which belongs to nothing now */
  async function put(session: ClientSession, pkg: PackageDoc, label: PackageDoc['label']): Promise<string | null> {
    const old = pkg.label?.file ?? null;
    if (old !== null) await files.release(session, old);
    await models.packages.updateOne({ _id: pkg._id }, { $set: { label, updatedAt: now() } }, { session });
    return old;
  }

  return {
    /** Whether a label would be taken now; refuses as `handIn` does. */
    async check(account: string, order: string, id: string): Promise<void> {
      await openPackage(account, order, id);
    },

    /** Takes a label, in place of the one there was. Safe to repeat: a file is taken once. */
    async handIn(account: string, order: string, id: string, given: NewLabel): Promise<PackageDoc> {
      const { pkg, old } = await db.transact(async (session) => {
        const there = await openPackage(account, order, id, session);
        if (there.label?.file === given.file) return { pkg: there, old: null };
        await files.claim(session, account, given.file, id);
        const label = { ...given, handedInAt: now() };
        return { old: await put(session, there, label), pkg: { ...there, label } };
      });
      if (old !== null) await files.remove(old).catch(() => {}); // The sweep finds what is left.
      return pkg;
    },

    /** Takes it back; nothing where there is none. */
    async takeBack(account: string, order: string, id: string): Promise<void> {
      const old = await db.transact(async (session) => {
        const pkg = await openPackage(account, order, id, session);
        return pkg.label ? put(session, pkg, null) : null;
      });
      if (old !== null) await files.remove(old).catch(() => {});
    },

    /** Keeps the platform's label: it gives none any more of what is cancelled, and that can still be printed. */
    async keep(row: SupplyOrderDoc, label: Buffer): Promise<void> {
      const hash = createHash('sha256').update(label).digest('hex');
      if (row.printed?.hash === hash) return;
      const file = await files.receive(row.supplier, Readable.from([label]), label.length);
      const old = await db.transact(async (session) => {
        const there = found(await models.supplyOrders.findById(row._id).session(session).lean(), 'supply order');
        // Printed twice at once: one of the files belongs to nothing, and the sweep removes it.
        if (there.status === 'completed' || there.printed?.hash === hash) return null;
        if (there.printed) await files.release(session, there.printed.file);
        await files.claim(session, row.supplier, file.id, row._id);
        await models.supplyOrders.updateOne(
          { _id: row._id },
          { $set: { printed: { file: file.id, hash } } },
          { session },
        );
        return there.printed ?? null;
      });
      if (old !== null) await files.remove(old.file).catch(() => {});
    },

    /** The platform's label as it was printed last; null where it never was, or the order is completed. */
    async kept(row: Pick<SupplyOrderDoc, 'supplier' | 'printed'>): Promise<StoredFile | null> {
      return row.printed ? files.open(row.supplier, row.printed.file) : null;
    },

    /** The label that was handed in for a supply order; null where none was. */
    async of(row: Pick<SupplyOrderDoc, 'package' | 'distributor'>): Promise<StoredFile | null> {
      const pkg = found(await models.packages.findById(row.package, { label: 1 }).lean(), 'package');
      return pkg.label ? files.open(row.distributor, pkg.label.file) : null;
    },
  };
}
