/**
 * Recipients, sealed: the order's for its own account, and what a supplier may read of it for the supplier's. Contract: orders.md,
 * Supply orders.
 */
import type { ClientSession } from 'mongoose';
import { mask, supplierArrangesCarrier } from '../../domain/orders';
import { UNSHIPPED_STATUSES } from '../../domain/supply-orders';
import type { Database } from '../database';
import type { OrderDoc, PackageDoc, SupplyOrderDoc } from '../models/documents';

export interface Recipient {
  readonly name: string;
  readonly phone: string;
  readonly address: string;
}

const FIELDS = ['name', 'phone', 'address'] as const;

const orderContext = (account: string, order: string) => `${account}/order/${order}/recipient`;
const supplyContext = (supplier: string, supplyOrder: string) => `${supplier}/supply-order/${supplyOrder}/recipient`;

const isHidden = (text: string) => text.includes('*') || text.trim() === '';

export function createRecipients({ models, now, cipher }: Database) {
  function open(sealed: string | null, context: string): Recipient | null {
    return sealed === null ? null : JSON.parse(cipher.open(sealed, context));
  }

  /** Readable exactly where the supplier arranges the carrier. */
  function forSupplier(
    { account, order, shipping, platform }: Pick<PackageDoc, 'account' | 'order' | 'shipping' | 'platform'>,
    sealed: string | null,
    { supplier, _id }: Pick<SupplyOrderDoc, 'supplier' | '_id'>,
  ): string | null {
    const recipient = open(sealed, orderContext(account, order));
    if (recipient === null) return null;
    const shown: Recipient = supplierArrangesCarrier(shipping, platform)
      ? recipient
      : { name: mask(recipient.name), phone: mask(recipient.phone), address: mask(recipient.address) };
    return cipher.seal(JSON.stringify(shown), supplyContext(supplier, _id));
  }

  return {
    forSupplier,

    /** As the order's own account reads it. */
    ofOrder: ({ account, _id, recipient }: Pick<OrderDoc, 'account' | '_id' | 'recipient'>) =>
      open(recipient, orderContext(account, _id)),

    /** As the supplier may read it: masked unless the supplier arranges the carrier. */
    ofSupplyOrder: ({ supplier, _id, recipient }: Pick<SupplyOrderDoc, 'supplier' | '_id' | 'recipient'>) =>
      open(recipient, supplyContext(supplier, _id)),

    /**
     * What an order tells now over what is known of it, sealed. What the platform masks in a later state, in part or whole, never
     * replaces what it said before.
     */
    next(
      { account, _id }: Pick<OrderDoc, 'account' | '_id'>,
      known: string | null,
      told: Recipient | null,
    ): { sealed: string | null; isNew: boolean } {
      const context = orderContext(account, _id);
      const before = open(known, context);
      if (told === null) return { sealed: known, isNew: false };
      const kept = (field: (typeof FIELDS)[number]) =>
        before !== null && isHidden(told[field]) && before[field] !== '' ? before[field] : told[field];
      const after: Recipient = { name: kept('name'), phone: kept('phone'), address: kept('address') };
      if (before !== null && FIELDS.every((field) => before[field] === after[field]))
        return { sealed: known, isNew: false };
      return { sealed: cipher.seal(JSON.stringify(after), context), isNew: true };
    },

    /** The order tells of another recipient: whoever is still to ship to it is told, too. */
    async follow(session: ClientSession, order: Pick<OrderDoc, '_id' | 'recipient'>): Promise<void> {
      const packages = await models.packages
        .find({ order: order._id, partnership: { $ne: null } })
        .session(session)
        .lean();
      for (const pkg of packages) {
        const id = pkg.supplyOrder ?? pkg.outbound?.supplyOrder;
        const row = id === undefined ? null : await models.supplyOrders.findById(id).session(session).lean();
        // Written, so that a push which has not seen it conflicts with it.
        if (row === null)
          await models.packages.updateOne({ _id: pkg._id }, { $set: { updatedAt: now() } }, { session });
        else if (UNSHIPPED_STATUSES.includes(row.status)) {
          const recipient = forSupplier(pkg, order.recipient, row);
          await models.supplyOrders.updateOne({ _id: row._id }, { $set: { recipient } }, { session });
        }
      }
    },
  };
}
