/**
 * Whether the last quantity that each store accepted is what the recorded revision of its rule gives now. Contract:
 * billing.md, verify. What cannot be equal yet, or need not be, is told apart and counted.
 */
import { type PushRule, pushNoteOf, type SkuFacts, type StoreCapabilities, underRule } from '../../domain/push-rules';
import type { Discrepancy } from '../../domain/verification';
import type { Database } from '../database';
import type { ListingDoc, PushRecordDoc, StoreDoc } from '../models/documents';
import { inBatches } from '../together';
import { createPreOrderRepository, preOrderId } from './pre-orders';
import { createPushFacts } from './push-facts';
import type { CapabilitiesOf } from './push-preview';
import { createPushRuleRepository, revisionId } from './push-rules';
import type { Beat, Found, Scope } from './verification';

/** How many listings were not compared, by why. */
export type Apart = Record<string, number>;

/** A listing that changes each time it is looked at is on its way. */
const LOOKS = 3;
const BATCH = 200;

type Verdict = { readonly apart: string } | { readonly expected: number; readonly found: number } | null;
type ShopRow = Pick<StoreDoc, '_id' | 'account'> & { readonly can: StoreCapabilities };

export function createListingCheck(db: Database) {
  const { models } = db;
  const facts = createPushFacts(db);
  const preOrders = createPreOrderRepository(db);
  const pushRules = createPushRuleRepository(db);

  /** Why a listing is not compared, by its record alone; null where it is. */
  function apartOf(listing: ListingDoc, record: PushRecordDoc | undefined): string | null {
    if (!listing.automatic) return 'notAutomatic';
    if (!record || record.accepted === null) return record?.latest.outcome === 'failed' ? 'failed' : 'neverPushed';
    if (record.unanswered) return 'unanswered';
    if (record.latest.outcome !== 'accepted') return record.latest.outcome;
    if (record.passedBy) return 'passedBy';
    const { error } = record.latest;
    return error === null || pushNoteOf(error) === 'capped' || pushNoteOf(error) === 'preOrderRefused'
      ? null
      : 'floored';
  }

  async function dueAmong(ids: readonly string[]): Promise<Map<string, string>> {
    const dues = await models.dues.find({ subject: { $in: [...ids] } }, { subject: 1, failed: 1 }).lean();
    return new Map(dues.map(({ subject, failed }) => [subject, failed ? 'failed' : 'due']));
  }

  const recordsOf = async (ids: readonly string[]) =>
    new Map((await models.pushRecords.find({ _id: { $in: [...ids] } }).lean()).map((row) => [row._id, row]));

  /** The revision that a listing was pushed under, as an id; null where it was under none. */
  const revisionOf = ({ latest: { rule, revision } }: PushRecordDoc): string | null =>
    rule === null || revision === null ? null : revisionId(rule, revision);

  /** What the recorded revision gives now; a pre-order that the platform refused leaves what there would be without it. */
  function quantityUnder(
    rule: PushRule,
    { levels, sku }: SkuFacts,
    { latest }: PushRecordDoc,
    { store, states }: { store: ShopRow; states: ReadonlySet<string> },
  ): number {
    const { quantity, preOrder } = underRule(rule, levels, {
      store: store._id,
      can: store.can,
      wasInPreOrder: (id) => states.has(preOrderId(id, store._id, sku)),
    });
    const isRefused = latest.error !== null && pushNoteOf(latest.error) === 'preOrderRefused';
    return isRefused && preOrder?.on ? preOrder.without : quantity;
  }

  /**
   * Judges listings of one store. The records are read before the stock and after it, the marks last: a change that is not
   * sent yet has its mark, and one that was sent meanwhile another record.
   */
  async function judge(store: ShopRow, listings: readonly ListingDoc[]): Promise<Map<string, Verdict>> {
    const ids = listings.map(({ _id }) => _id);
    const before = await recordsOf(ids);
    const pushedUnder = [...before.values()].flatMap((record) => revisionOf(record) ?? []);
    const rules = await pushRules.revisions(store.account, pushedUnder);
    const codes = [...new Set(listings.flatMap(({ sku }) => sku ?? []))];
    const skus = await facts.skuFacts(store.account, codes, false);
    const states = await preOrders.states([store._id], codes);
    const dues = await dueAmong(ids);
    const after = await recordsOf(ids);
    return new Map(
      listings.map((listing): [string, Verdict] => {
        const record = before.get(listing._id) as PushRecordDoc | undefined;
        const due = dues.get(listing._id);
        if (due !== undefined) return [listing._id, { apart: due }];
        if (JSON.stringify(record) !== JSON.stringify(after.get(listing._id))) return [listing._id, { apart: 'due' }];
        const apart = apartOf(listing, record);
        const sku = skus.get(listing.sku ?? '');
        if (apart !== null || !record || !sku) return [listing._id, { apart: apart ?? 'neverPushed' }];
        const is = record.accepted ?? 0;
        const rule = rules.get(revisionOf(record) ?? '');
        // Without a rule nothing but a zero is sent.
        if (sku.active && record.latest.rule !== null && !rule) return [listing._id, { apart: 'noRule' }];
        const expected = sku.active && rule ? quantityUnder(rule, sku, record, { store, states }) : 0;
        return [listing._id, expected === is ? null : { expected, found: is }];
      }),
    );
  }

  const discrepancyOf = (listing: ListingDoc, { expected, found }: { expected: number; found: number }) =>
    ({
      ...{ kind: 'listing_wrong', subject: listing._id, partnership: null, lacks: null },
      documents: [listing._id, listing.store, listing.sku ?? ''],
      expected: String(expected),
      found: String(found),
    }) satisfies Discrepancy;

  async function* ofStore(store: ShopRow, beat: () => void, apart: Apart): Found {
    const cursor = models.listings
      .find({ store: store._id, sku: { $ne: null }, status: { $ne: 'deleted' } })
      .lean()
      .cursor({ batchSize: BATCH });
    for await (const rows of inBatches(cursor, BATCH)) {
      const verdicts = await judge(store, rows);
      for (const listing of rows) {
        let verdict = verdicts.get(listing._id) ?? null;
        for (let look = 1; look < LOOKS && verdict !== null && 'found' in verdict; look += 1)
          verdict = (await judge(store, [listing])).get(listing._id) ?? null;
        if (verdict === null) continue;
        if ('apart' in verdict) apart[verdict.apart] = (apart[verdict.apart] ?? 0) + 1;
        else yield discrepancyOf(listing, verdict);
      }
      beat();
    }
  }

  /** Store by store: those that are connected, of accounts with the Inventory switch on. */
  return async function* listings(scope: Scope, beat: Beat, apart: Apart, capabilitiesOf: CapabilitiesOf): Found {
    let seen = 0;
    const stores = models.stores
      .find(scope === null ? {} : { account: scope }, { account: 1, platform: 1, status: 1 })
      .lean()
      .cursor();
    for await (const { _id, account, platform, status } of stores) {
      const owner = await models.accounts.findById(account, { inventoryEnabled: 1 }).lean();
      const count = await models.listings.countDocuments({
        store: _id,
        sku: { $ne: null },
        status: { $ne: 'deleted' },
      });
      seen += count;
      const can = capabilitiesOf(platform);
      if (status !== 'connected' || !owner?.inventoryEnabled || can === null) {
        if (count > 0) apart.storeNotServed = (apart.storeNotServed ?? 0) + count;
        continue;
      }
      yield* ofStore({ _id, account, can }, () => beat(seen), apart);
    }
    beat(seen);
  };
}
