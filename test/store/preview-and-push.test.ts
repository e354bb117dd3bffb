/** What the preview says over HTTP, and what the lanes' own code then writes: compared on every listing of an account, without a platform. */
import pLimit from 'p-limit';
import { createBatchSender } from '../../activities/lane-batch';
import type { StoreAccess } from '../../activities/tokens';
import { LAZADA_CAPABILITIES } from '../../connectors/marketplaces/lazada/client';
import { SHOPEE_CAPABILITIES } from '../../connectors/marketplaces/shopee/client';
import type { MarketplaceConnector, StockEntry } from '../../connectors/port';
import type { DueDoc, ListingDoc } from '../../store/models/documents';
import { preOrderId } from '../../store/repositories/pre-orders';
import { type Hub, startHub } from '../support/hub';
import { makeRule } from '../support/scenario';
import { serveApi } from '../support/served-api';

const LONG = process.env.LONG === '1';
const SKUS = LONG ? 5_000 : 150;
const STORES = LONG ? 20 : 6;
/** Models of an item. */
const IN_ONE_ITEM = 50;
/** Items that are sent at once: one, as Shopee takes them. In the long run more, or the database's answers would be most of its time. */
const ITEMS_AT_ONCE = LONG ? 20 : 1;
const isUnsupplied = (index: number) => index % 17 === 0;
const skuOf = (index: number) => `SKU-${String(index).padStart(5, '0')}`;

let hub: Hub;
beforeAll(async () => {
  hub = await startHub({ withoutWorker: true });
});
afterAll(() => hub?.stop());

/** An account whose SKUs, stock, listings, rules and states differ in every way a decision looks at. */
async function makeAccount() {
  const { accounts, catalogue, stores: storeRows, database } = hub.store;
  const { models } = database;
  const {
    account: { _id: account },
    key,
  } = await accounts.create({ name: 'Seller', plan: 'basic', orderQuota: null });
  await accounts.change(account, { inventoryEnabled: true });
  const warehouses = [];
  for (const name of ['One', 'Two']) warehouses.push((await catalogue.addWarehouse(account, { name }))._id);
  const [one = '', two = ''] = warehouses;
  const stores: string[] = [];
  for (let index = 0; index < STORES; index += 1) {
    const platform = index % 2 === 0 ? 'shopee' : 'lazada';
    const { _id } = await storeRows.add(account, { platform, name: `Store ${index}` });
    await models.stores.updateOne({ _id }, { $set: { status: 'connected' } });
    stores.push(_id);
  }
  const indexes = Array.from({ length: SKUS }, (_, index) => index);
  await models.skus.collection.insertMany(
    indexes.map((index) => ({
      ...{ _id: `${account}/${skuOf(index)}`, account, sku: skuOf(index), name: 'n', kind: 'single', components: [] },
      // Claimed, and no claim on it counts: nothing supplies it.
      mirror: isUnsupplied(index) ? { partnership: 'p', sku: 'x' } : null,
      category: [null, 'Hats', 'Shoes'][index % 3],
      ...{ followers: 0, command: null, createdAt: new Date() },
    })) as never,
  );
  await models.stock.collection.insertMany(
    indexes.flatMap((index) =>
      [one, two].map((warehouse, place) => {
        const available = (index * 7 + place * 13) % 61;
        return {
          ...{
            _id: `${warehouse}/${skuOf(index)}`,
            account,
            warehouse,
            sku: skuOf(index),
            onHand: available,
            available,
          },
          ...{ allocated: 0, reserved: 0, inTransit: index % 11, mirrored: false, followers: 0 },
        };
      }),
    ) as never,
  );
  for (const [at, store] of stores.entries())
    await models.listings.collection.insertMany(
      indexes
        .filter((index) => (index + at) % 9 !== 0)
        .map((index) => ({
          ...{ _id: `${store}/${Math.floor(index / IN_ONE_ITEM)}/${index}`, account, store, sku: skuOf(index) },
          ...{
            item: String(Math.floor(index / IN_ONE_ITEM)),
            model: String(index),
            sellerSku: skuOf(index),
            title: '',
          },
          ...{ imageUrl: null, variation: '', price: '1.00', currency: 'MYR', platformQuantity: 1, status: 'live' },
          ...{ unconnectedReason: null, automatic: (index + at) % 23 !== 0, missed: 0, updatedAt: new Date() },
        })) as never,
    );
  const some = (from: number, step: number) => indexes.filter((index) => index % step === from).map(skuOf);
  const pre = { enableAtOrBelow: 20, add: 30, closeAbove: 60, daysToShip: 7 };
  const [first = '', second = ''] = stores;
  const shapes: Parameters<typeof makeRule>[5][] = [
    { skus: { kind: 'list', skus: some(1, 5) }, preOrder: pre, zeroBelow: 3 },
    { skus: { kind: 'list', skus: some(2, 5) }, lowStock: { threshold: 40, store: first }, preOrder: pre },
    { skus: { kind: 'categories', categories: ['Hats'] }, quantity: { kind: 'virtual', percent: 150, plus: 7 } },
    { skus: { kind: 'list', skus: some(3, 5) }, stores: stores.slice(1), quantity: { kind: 'partial', percent: 33 } },
    { enabled: false },
    { skus: { kind: 'stores', stores: [second] }, inventoryType: 'sellablePlusInTransit', warehouses: [two] },
  ];
  const rules: string[] = [];
  for (const [index, shape] of shapes.entries())
    rules.push((await makeRule(hub, account, [one, two], stores, index + 1, shape))._id);
  const states = indexes.flatMap((index) =>
    stores.flatMap((store, at) =>
      (index + at) % 4 === 0 ? rules.slice(0, 2).map((rule) => ({ rule, store, sku: skuOf(index) })) : [],
    ),
  );
  await models.preOrders.collection.insertMany(
    states.map((state) => ({
      ...{ _id: preOrderId(state.rule, state.store, state.sku), account, since: new Date() },
      ...state,
    })) as never,
  );
  return { account, key, stores };
}

/** Where nothing supplies a SKU, that is why its stores get what they get. */
const UNSUPPLIED = new Set(
  Array.from({ length: SKUS }, (_, index) => index)
    .filter(isUnsupplied)
    .map(skuOf),
);

/** What the preview of all SKUs says of each listing, as the file that the API makes of it. */
async function previewed(key: string) {
  const api = await serveApi(hub);
  const answer = await fetch(`${api.url}/v1/push-rules/preview/export`, {
    headers: { Authorization: `Bearer ${key}` },
  });
  const [head, ...lines] = (await answer.text()).trim().split(/\r?\n/);
  await api.close();
  const names = head?.split(',') ?? [];
  const said = new Map<string, { quantity: number | null; on: boolean | null }>();
  const reasons = new Map<string, number>();
  for (const line of lines) {
    const cells = line.split(',');
    const cell = (name: string) => cells[names.indexOf(name)] ?? '';
    const [listing, quantity, skipped, preOrder] = ['listing', 'quantity', 'skipped', 'pre_order'].map(cell);
    if (!listing) continue;
    const sent = UNSUPPLIED.has(cell('sku')) ? 'unsupplied' : preOrder === 'on' ? 'pre-order' : 'sent';
    const reason = skipped || sent;
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
    said.set(listing, { quantity: quantity ? Number(quantity) : null, on: preOrder ? preOrder === 'on' : null });
  }
  return { said, reasons };
}

/** The lanes' own code, with platforms that accept everything and keep it to themselves. */
function createSilentSender() {
  const written = new Map<string, number>();
  const preOrders = new Map<string, boolean>();
  const connectorOf = (platform: string) =>
    ({
      capabilities: platform === 'shopee' ? SHOPEE_CAPABILITIES : LAZADA_CAPABILITIES,
      longestWriteMs: 0,
      async updateStock(_: unknown, entries: readonly StockEntry[]) {
        for (const { key, quantity } of entries) written.set(key, quantity);
        return entries.map(({ key, quantity }) => ({ key, outcome: 'accepted' as const, quantity }));
      },
      async setPreOrder({ shopId }: { shopId: string }, { itemId, on }: { itemId: string; on: boolean }) {
        preOrders.set(`${shopId}/${itemId}`, on);
      },
    }) as unknown as MarketplaceConnector;
  const platforms = new Map<string, string>();
  const access = {
    connectorOf,
    call: (store: string, work: (connector: MarketplaceConnector, shop: object) => unknown) =>
      work(connectorOf(platforms.get(store) ?? ''), { shopId: store, accessToken: '' }),
  } as unknown as StoreAccess;
  // The marks are made up here: there is nothing to take away.
  const store = { ...hub.store, dues: { ...hub.store.dues, settle: async () => {} } };
  return { written, preOrders, platforms, sender: createBatchSender({ store, access }) };
}

function dueOf({ _id, account, store, item }: ListingDoc): DueDoc {
  const common = { urgent: false, forced: false, stamp: 's', tries: 0, changes: 1, cause: 'test', failed: false };
  return { _id: `x|${_id}`, lane: `x/${store}`, account, subject: _id, item, since: new Date(), ...common };
}

test(`they agree on all of ${SKUS} SKUs in ${STORES} stores`, async () => {
  const { account, key, stores } = await makeAccount();
  const { models } = hub.store.database;
  const startedAt = Date.now();
  const { said, reasons } = await previewed(key);
  const previewMs = Date.now() - startedAt;
  const { written, preOrders, platforms, sender } = createSilentSender();
  const known = await hub.store.lanes.ruleSet(account, null);
  // As the lanes do: the stores side by side, in each one batch after the other.
  const turn = pLimit(LONG ? 3 : 6);
  const sendAll = async (id: string) => {
    const row = await hub.store.stores.byId(id);
    platforms.set(id, row.platform);
    await hub.store.pushes.beginPass(id, 'the only one');
    const listings = await models.listings.find({ store: id }).sort({ item: 1, _id: 1 }).lean();
    // Shopee's calls hold one item each; fifty of its models stand one after the other here.
    const items = new Map<string, ListingDoc[]>();
    for (const one of listings) items.set(one.item, [...(items.get(one.item) ?? []), one]);
    const all = [...items.values()];
    for (let from = 0; from < all.length; from += ITEMS_AT_ONCE) {
      const batch = all.slice(from, from + ITEMS_AT_ONCE).flat();
      await sender.sendBatch(
        row,
        'the only one',
        () => known.rules,
        batch.map(dueOf),
        () => {},
      );
    }
  };
  await Promise.all(stores.map((id) => turn(() => sendAll(id))));
  const wrong: string[] = [];
  for (const [listing, { quantity }] of said)
    if ((written.get(listing) ?? null) !== quantity)
      wrong.push(`${listing}: said ${quantity}, written ${written.get(listing)}`);
  expect(wrong.slice(0, 5)).toEqual([]);
  expect(said.size).toBe(await models.listings.countDocuments({ account }));
  // An item is in pre-order exactly while one of its listings is to be.
  const items = new Map<string, boolean>();
  for (const [listing, { on }] of said) {
    const item = listing.slice(0, listing.lastIndexOf('/'));
    items.set(item, (items.get(item) ?? false) || on === true);
  }
  for (const [item, on] of items) expect([item, preOrders.get(item) ?? false]).toEqual([item, on]);
  for (const kind of ['sent', 'pre-order', 'unsupplied', 'automatic_off', 'no_push_rule', 'store_not_in_rule'])
    expect([kind, (reasons.get(kind) ?? 0) > 0]).toEqual([kind, true]);
  if (LONG) console.info(`${said.size} listings: preview ${previewMs} ms, both ${Date.now() - startedAt} ms`);
});
