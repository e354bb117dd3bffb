/**
 * The demo's data, made the way users make theirs: through the HTTP API, and at the marketplaces through the sandbox's
 * control route. A seed that was cut off is completed by the next one: what is there is looked up by its name, and
 * commands carry fixed Idempotency-Keys. Only the accounts have no look-up: their keys hold for a day.
 */
import { createHash } from 'node:crypto';
import pLimit from 'p-limit';
import { createSandboxControl, type SandboxControl } from './control';
import { type DemoShop, DISTRIBUTORS, GOODS, goodsOf, itemsOf, WAREHOUSES } from './demo-goods';
import {
  createHubApi,
  type HubApi,
  type HubStore,
  type Listing,
  type Operation,
  type Partnership,
  type Stock,
  until,
  type Warehouse,
} from './hub-api';

export interface SeedInput {
  /** The API's address, without `/v1`. */
  readonly apiUrl: string;
  readonly adminKey: string;
  readonly sandboxUrl: string;
  /** Told what is being made. */
  readonly log: (text: string) => void;
}
export interface SeededAccount {
  readonly id: string;
  readonly key: string;
}
export interface Seeded {
  readonly supplier: SeededAccount;
  readonly distributors: readonly SeededAccount[];
}

interface Party extends SeededAccount {
  readonly name: string;
  readonly api: HubApi;
}

const AT_ONCE = 4;
const myr = (amount: string) => ({ amount, currency: 'MYR' });
const SUPPLIER = 'Demo Supplier';
const FEES = {
  stockOut: { by: 'package', amount: myr('1.20') },
  logistics: { amount: myr('6.00') },
  stockInReturn: { by: 'package', amount: myr('0.00') },
};

/** Makes what is missing of the demo. Resolves when the right quantities stand in every shop. */
export async function seed({ apiUrl, adminKey, sandboxUrl, log }: SeedInput): Promise<Seeded> {
  const platform = createHubApi(apiUrl, adminKey);
  const control = createSandboxControl(sandboxUrl);
  // Another data folder on the same database has another admin key, and gets accounts of its own.
  const installation = createHash('sha256').update(adminKey).digest('hex').slice(0, 16);
  const account = (name: string, plan: string) => makeAccount(platform, apiUrl, installation, name, plan);

  log('accounts');
  const supplier = await account(SUPPLIER, 'v2');
  const distributors: Party[] = [];
  for (const { name } of DISTRIBUTORS) distributors.push(await account(name, 'v1'));
  const warehouses = await stockSupplier(supplier, log);
  await completeSetup(supplier, log);
  for (const [index, distributor] of distributors.entries()) {
    const shops = DISTRIBUTORS[index]?.shops ?? [];
    const partnership = await partner(supplier, distributor, warehouses, log);
    await claim(distributor, partnership, shops, log);
    await openStores(distributor, partnership, shops, control, log);
  }
  log('waiting for the quantities in the shops');
  for (const distributor of distributors) await arrival(supplier, distributor, control);
  log(`${distributors.length} distributors, ${GOODS.length} SKUs, 3 stores`);
  return { supplier: accountOf(supplier), distributors: distributors.map(accountOf) };
}

const accountOf = ({ id, key }: Party): SeededAccount => ({ id, key });

async function makeAccount(
  platform: HubApi,
  apiUrl: string,
  installation: string,
  name: string,
  plan: string,
): Promise<Party> {
  const made = await platform.post<{ account: { id: string }; apiKey: { key: string } }>(
    '/accounts',
    { name, plan },
    { idempotencyKey: `demo/${installation}/${name.replaceAll(' ', '-')}` },
  );
  const api = createHubApi(apiUrl, made.apiKey.key);
  await api.patch('/account', { inventoryEnabled: true });
  return { id: made.account.id, key: made.apiKey.key, name, api };
}

/** Warehouses, SKUs and their first stock. @returns the warehouses' ids */
async function stockSupplier({ api }: Party, log: SeedInput['log']): Promise<string[]> {
  const there = await api.list<Warehouse>('/warehouses');
  const warehouses: string[] = [];
  for (const name of WAREHOUSES) {
    const found = there.find((place) => place.name === name);
    const idempotencyKey = `demo/${name.replaceAll(' ', '-')}`;
    warehouses.push((found ?? (await api.post<Warehouse>('/warehouses', { name }, { idempotencyKey }))).id);
  }
  const skus = new Set((await api.list<{ sku: string }>('/skus')).map(({ sku }) => sku));
  const stock = await api.list<Stock>('/stock');
  const turn = pLimit(AT_ONCE);
  let done = 0;
  const stockUp = async (one: (typeof GOODS)[number]) => {
    const name = one.option === '' ? one.family : `${one.family}, ${one.option}`;
    if (!skus.has(one.sku)) await api.post('/skus', { sku: one.sku, name }, { idempotencyKey: `demo/${one.sku}` });
    for (const [index, quantity] of [one.central, one.north].entries()) {
      const warehouse = warehouses[index];
      if (stock.some((row) => row.sku === one.sku && row.warehouse === warehouse)) continue;
      const delivery = { warehouse, sku: one.sku, kind: 'stockIn', quantity, reason: 'First delivery' };
      await api.post('/stock/adjustments', delivery, { idempotencyKey: `demo/${one.sku}/${index}` });
    }
    done += 1;
    log(`${done} of ${GOODS.length} SKUs with stock`);
  };
  await Promise.all(GOODS.map((one) => turn(() => stockUp(one))));
  return warehouses;
}

/** The six steps of the Distribution set-up, with all goods as distribution products. */
async function completeSetup({ api }: Party, log: SeedInput['log']): Promise<void> {
  log('set-up');
  const { missing } = await api.post<{ missing: string[] }>('/supplier/activation');
  if (missing.includes('base-currency')) await api.put('/supplier/setup/base-currency', { currency: 'MYR' });
  const there = new Set((await api.list<{ sku: string }>('/supplier/products')).map(({ sku }) => sku));
  const products = GOODS.filter(({ sku }) => !there.has(sku)).map(({ sku, basePrice }) => ({
    sku,
    basePrice: myr(basePrice),
  }));
  if (products.length > 0) {
    const { results } = await api.post<{ results: { sku: string; ok: boolean; detail?: string }[] }>(
      '/supplier/products',
      { products },
    );
    const refused = results.filter(({ ok }) => !ok).map(({ sku, detail }) => `${sku}: ${detail}`);
    if (refused.length > 0) throw new Error(`Not all distribution products were taken: ${refused.join('; ')}`);
  }
  await until(async () => {
    const rows = await api.list<{ status: string }>('/supplier/products');
    const left = rows.filter(({ status }) => status === 'publishing').length;
    log(`${rows.length - left} of ${rows.length} distribution products`);
    if (left > 0) throw new Error(`${left} distribution products are still being published`);
  });
  const bodies = {
    ...{ products: {}, 'push-rule': {}, pricing: {}, fees: FEES },
    bigshop: { name: 'Demo BigShop', contact: 'orders@demo-supplier.example' },
  };
  for (const [step, body] of Object.entries(bodies))
    if (missing.includes(step)) await api.put(`/supplier/setup/${step}`, body);
}

/** Invitation, application, approval with credit; what of it was done is not done again. @returns the partnership's id */
async function partner(supplier: Party, distributor: Party, warehouses: string[], log: SeedInput['log']) {
  log(`partnership of ${distributor.name}`);
  const idempotencyKey = `demo/partner/${distributor.id}`;
  let row = (await distributor.api.list<Partnership>('/distributor/suppliers')).find(
    (one) => one.supplier.id === supplier.id && ['pending_review', 'partnered'].includes(one.status),
  );
  if (row === undefined) {
    const { token } = await supplier.api.post<{ token: string }>('/supplier/invitations', {}, { idempotencyKey });
    const application = {
      invitation: token,
      company: distributor.name,
      contactName: 'Purchasing',
      email: `purchasing@${distributor.name.toLowerCase().replaceAll(' ', '-')}.example`,
      channels: ['shopee', 'lazada'],
      message: 'We would like to sell your goods.',
    };
    row = await distributor.api.post<Partnership>('/distributor/applications', application, { idempotencyKey });
  }
  if (row.status !== 'partnered')
    await supplier.api.post(
      `/supplier/distributors/${row.id}/approve`,
      {
        customer: { name: distributor.name },
        settlementCurrency: 'MYR',
        warehouses,
        creditLimit: myr('5000.00'),
        creditPeriodDays: 30,
      },
      { idempotencyKey },
    );
  return row.id;
}

async function claim(distributor: Party, partnership: string, shops: readonly DemoShop[], log: SeedInput['log']) {
  const wanted = [...new Set(shops.flatMap(goodsOf).map(({ sku }) => sku))];
  const path = `/distributor/suppliers/${partnership}`;
  const there = await distributor.api.list<{ sku: string }>(`${path}/products?claimed=true`);
  const missing = wanted.filter((sku) => !there.some((one) => one.sku === sku));
  const turn = pLimit(AT_ONCE);
  let done = wanted.length - missing.length;
  const take = async (sku: string) => {
    await distributor.api.post(`${path}/claims`, { sku }, { idempotencyKey: `demo/claim/${sku}` });
    done += 1;
    log(`${done} of ${wanted.length} products claimed by ${distributor.name}`);
  };
  await Promise.all(missing.map((sku) => turn(() => take(sku))));
}

/** The distributor's stores: authorised, with a push rule, listings downloaded and connected. */
async function openStores(
  distributor: Party,
  partnership: string,
  shops: readonly DemoShop[],
  control: SandboxControl,
  log: SeedInput['log'],
): Promise<void> {
  const stores: { shop: DemoShop; id: string }[] = [];
  for (const shop of shops) {
    log(`store ${shop.name}`);
    stores.push({ shop, id: await openStore(distributor.api, shop, control) });
  }
  // Saving a rule pushes nothing; it is there before the listings are, so that their first quantities go out under it.
  await saveRule(distributor.api, partnership, stores);
  for (const { shop, id } of stores) {
    log(`listings of ${shop.name}`);
    await downloadListings(distributor.api, id, shop);
  }
}

async function openStore(api: HubApi, shop: DemoShop, control: SandboxControl): Promise<string> {
  const { platform, name } = shop;
  const found = (await api.list<HubStore>('/stores')).find((one) => one.name === name && one.platform === platform);
  const idempotencyKey = `demo/store/${platform}`;
  const store = found ?? (await api.post<HubStore>('/stores', { platform, name }, { idempotencyKey }));
  const shopId = store.shopId ?? shopIdFor(store.id);
  const { shops } = await control.shops(platform);
  const isThere = shops.some((one) => one.shopId === shopId);
  if (!isThere) await control.createShop(platform, { shopId, name, currency: 'MYR', items: itemsOf(shop) });
  if (store.status !== 'connected' || !isThere) await authorise(api, store.id, shopId);
  return store.id;
}

/** A shop's number that is the same at every try. */
function shopIdFor(store: string): string {
  return String(400_000_000 + (createHash('sha256').update(store).digest().readUInt32BE() % 500_000_000));
}

/** As the owner's browser does: to the platform's page, a click on the shop, and back to the hub. */
async function authorise(api: HubApi, store: string, shopId: string): Promise<void> {
  const { url } = await api.get<{ url: string }>(`/stores/${store}/authorization-url`);
  const page = await (await fetch(url)).text();
  const links = [...page.matchAll(/href="([^"]+)"/g)].map(([, link = '']) => unescaped(link));
  const link = links.find((one) => one.endsWith(`shop_id=${shopId}`));
  if (link === undefined) throw new Error(`The sandbox's page does not offer shop ${shopId}: ${page.slice(0, 200)}`);
  const answer = await fetch(new URL(link, url));
  if (!answer.ok) throw new Error(`The store was not authorised: ${answer.status} ${await answer.text()}`);
}

const unescaped = (html: string) =>
  html.replace(/&#(\d+);/g, (_entity, code: string) => String.fromCharCode(Number(code)));

async function saveRule(api: HubApi, partnership: string, stores: readonly { id: string }[]): Promise<void> {
  const name = 'Real quantity everywhere';
  if ((await api.list<{ name: string }>('/push-rules')).some((rule) => rule.name === name)) return;
  const warehouses = (await api.list<Warehouse>('/warehouses')).filter((place) => place.partnership === partnership);
  const rule = {
    ...{ name, priority: 1, skus: { kind: 'all' }, quantity: { kind: 'real' } },
    warehouses: warehouses.map(({ id }) => id),
    stores: stores.map(({ id }) => id),
  };
  await api.post('/push-rules', rule, { idempotencyKey: 'demo/rule' });
}

async function downloadListings(api: HubApi, store: string, shop: DemoShop): Promise<void> {
  const listings = () => api.list<Listing>(`/stores/${store}/listings`);
  if ((await listings()).length < goodsOf(shop).length) {
    const { operation } = await api.post<{ operation: Operation }>(`/stores/${store}/download`, {}, { waitS: 30 });
    await until(async () => {
      const { status, error } = await api.get<Operation>(`/operations/${operation.id}`);
      if (status !== 'done') throw new Error(`The download of ${shop.name} is ${status} ${error?.detail ?? ''}`);
    });
  }
  const byHand = (await listings()).flatMap(({ id, sku, sellerSku }) => {
    const own = Object.entries(shop.ownCodes).find(([, code]) => code === sellerSku)?.[0];
    return sku === null && own !== undefined ? [{ listing: id, sku: own }] : [];
  });
  if (byHand.length > 0) await api.post('/listings/connect', byHand);
}

/** Waits until the distributor sees the supplier's quantities, and each shop shows them. */
async function arrival(supplier: Party, distributor: Party, control: SandboxControl): Promise<void> {
  const { api } = distributor;
  const stores = await api.list<HubStore>('/stores');
  const listings = new Map<string, Listing[]>();
  for (const { id } of stores) listings.set(id, await api.list<Listing>(`/stores/${id}/listings?state=connected`));
  await until(async () => {
    const [origin, mirror] = await Promise.all([supplier.api.list<Stock>('/stock'), api.list<Stock>('/stock')]);
    const offered = sumBySku(origin, 'available');
    const seen = sumBySku(mirror, 'onHand');
    const available = sumBySku(mirror, 'available');
    for (const [sku, units] of seen)
      if (offered.get(sku) !== units) throw new Error(`${distributor.name} does not see the stock of ${sku} yet`);
    for (const store of stores) {
      const { items } = await control.shop(store.platform, store.shopId ?? '');
      for (const { item, model, sku } of listings.get(store.id) ?? []) {
        const shown = items.find((one) => one.itemId === item)?.models.find((one) => one.modelId === model)?.stock;
        if (shown !== available.get(sku ?? '')) throw new Error(`${store.name} does not show the stock of ${sku} yet`);
      }
    }
  }, 120_000);
}

function sumBySku(rows: readonly Stock[], field: 'available' | 'onHand'): Map<string, number> {
  const sums = new Map<string, number>();
  for (const row of rows) sums.set(row.sku, (sums.get(row.sku) ?? 0) + row[field]);
  return sums;
}
