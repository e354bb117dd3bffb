/** A supplier with stock and distributors with stores, made through the repositories and processes that the API uses. */

import type { Plan } from '../../domain/accounts';
import { newId } from '../../domain/ids';
import type { Currency } from '../../domain/money';
import type { Shipping } from '../../domain/pricing';
import { processId } from '../../domain/process-ids';
import type { RuleInput } from '../../store/repositories/push-rules';
import type { Hub } from './hub';
import { eventually } from './hub';

export interface SupplierOptions {
  readonly skus?: readonly string[];
  readonly onHand?: number;
  readonly price?: number;
  readonly currency?: Currency;
  readonly plan?: Plan;
  readonly orderQuota?: number | null;
  readonly fees?: { stockOut: number; stockOutBy?: 'package' | 'quantity'; logistics: number };
}

export interface Supplier {
  readonly id: string;
  readonly key: string;
  readonly warehouse: string;
  readonly skus: readonly string[];
}

const everything = { limit: 200, after: null } as const;

/** A supplier whose set-up is live, with one warehouse and these SKUs in stock, each an enabled distribution product. */
export async function makeSupplier({ store }: Hub, options: SupplierOptions = {}): Promise<Supplier> {
  const currency = options.currency ?? 'MYR';
  const skus = options.skus ?? ['TEE-1'];
  const { account, key } = await store.accounts.create({
    name: 'Supplier',
    plan: options.plan ?? 'v2',
    orderQuota: options.orderQuota ?? null,
  });
  const id = account._id;
  await store.accounts.change(id, { inventoryEnabled: true });
  await store.partnerships.activate(id);
  await store.partnerships.completeSetup(id, { step: 'base-currency', currency });
  const warehouse = (await store.catalogue.addWarehouse(id, { name: 'Main' }))._id;
  for (const sku of skus) {
    await store.catalogue.addSku(id, { sku, name: `${sku} name`, components: [] });
    await store.stock.adjust({
      account: id,
      warehouse,
      sku,
      kind: 'stockIn',
      quantity: options.onHand ?? 100,
      reason: 'seed',
      document: 'seed',
      key: `seed/${warehouse}/${sku}`,
    });
  }
  await store.products.add(
    id,
    skus.map((sku) => ({ sku, basePrice: { amount: options.price ?? 1_000, currency } })),
  );
  for (const sku of skus) await store.products.publish(id, sku, 1);
  const amount = (value: number) => ({ amount: value, currency });
  await store.partnerships.completeSetup(id, { step: 'products' });
  await store.partnerships.completeSetup(id, { step: 'push-rule' });
  await store.partnerships.completeSetup(id, { step: 'bigshop', name: 'BigShop', contact: 'ops' });
  await store.partnerships.completeSetup(id, { step: 'pricing' });
  await store.partnerships.completeSetup(id, {
    step: 'fees',
    fees: {
      stockOut: { by: options.fees?.stockOutBy ?? 'package', amount: amount(options.fees?.stockOut ?? 0) },
      logistics: { amount: amount(options.fees?.logistics ?? 0) },
      stockInReturn: { by: 'package', amount: amount(0) },
    },
  });
  return { id, key, warehouse, skus };
}

export interface Distributor {
  readonly id: string;
  readonly key: string;
  readonly partnership: string;
  /** The distributor's view of the supplier's warehouse. */
  readonly warehouse: string;
}

export interface DistributorOptions {
  readonly creditLimit?: number;
  readonly orderQuota?: number | null;
  readonly claim?: readonly string[];
  readonly settlementCurrency?: Currency;
  /** Given instead of the supplier's first one. */
  readonly warehouses?: readonly string[];
}

/** A distributor partnered with the supplier, whose SKUs it claims. */
export async function makeDistributor(
  hub: Hub,
  supplier: Supplier,
  options: DistributorOptions = {},
): Promise<Distributor> {
  const { store } = hub;
  const { account, key } = await store.accounts.create({
    name: 'Distributor',
    plan: 'basic',
    orderQuota: options.orderQuota ?? null,
  });
  const id = account._id;
  await store.accounts.change(id, { inventoryEnabled: true });
  const partnership = await partnerWith(hub, { id }, supplier, options);
  const places = await store.catalogue.warehouses(id, everything);
  const warehouse = places.items.find(({ kind }) => kind === 'supplier')?._id ?? '';
  return { id, key, partnership, warehouse };
}

/** The distributor partnered with one more supplier, whose SKUs it claims. @returns the partnership */
export async function partnerWith(
  { store, processes }: Hub,
  distributor: Pick<Distributor, 'id'>,
  supplier: Supplier,
  { settlementCurrency = 'MYR', warehouses, creditLimit, claim }: DistributorOptions = {},
): Promise<string> {
  const { token } = await store.partnerships.invite(supplier.id);
  const { _id } = await store.partnerships.apply(distributor.id, token, {
    company: 'Distributor Ltd',
    contactName: 'Contact',
    phone: '100',
    email: null,
    channels: ['shopee'],
    message: null,
  });
  await store.partnerships.move(_id, {
    move: 'approve',
    party: supplier.id,
    command: newId('command'),
    approval: {
      customer: { name: 'Distributor Ltd' },
      settlementCurrency,
      level: null,
      warehouses: warehouses ?? [supplier.warehouse],
      creditLimit: { amount: creditLimit ?? 100_000_000, currency: settlementCurrency },
      creditPeriodDays: null,
    },
  });
  for (const sku of claim ?? supplier.skus) {
    const { lanes } = await store.claims.claim(distributor.id, _id, { sku, as: null });
    processes.wakeLanes(lanes);
  }
  return _id;
}

export interface ConnectedStore {
  readonly id: string;
  readonly shopId: string;
  readonly platform: 'shopee' | 'lazada';
}

/** A sandbox shop that sells these SKUs, connected to the account, its listings downloaded and connected. */
export async function makeStore(
  hub: Hub,
  account: string,
  platform: 'shopee' | 'lazada',
  skus: readonly string[],
  options: { itemPerSku?: boolean; modelsPerItem?: number; withRule?: readonly string[]; priority?: number } = {},
): Promise<ConnectedStore> {
  const { store, control, connectors } = hub;
  const models = skus.map((sku, index) => ({ sku, price: '19.90', stock: 1, variation: [`Colour ${index}`] }));
  const perItem = options.itemPerSku ? 1 : (options.modelsPerItem ?? models.length);
  const items = Array.from({ length: Math.ceil(models.length / perItem) }, (_, index) => ({
    title: `Item ${index + 1}`,
    models: models.slice(index * perItem, (index + 1) * perItem),
  }));
  const shop = await control.createShop(platform, { name: `${platform} shop`, currency: 'MYR', items });
  const row = await store.stores.add(account, { platform, name: `${platform} shop` });
  const authorized = await connectors[platform]?.exchangeCode({ code: shop.code, shop_id: shop.shopId });
  if (!authorized) throw new Error(`no ${platform} connector`);
  await store.stores.connect(account, row._id, authorized);
  if (options.withRule) await makeRule(hub, account, options.withRule, [row._id], options.priority ?? 1);
  const job = newId('job');
  const workflowId = processId('listing-download', { store: row._id, job });
  await store.operations.begin(null, { workflowId, kind: 'listing_download', accounts: [account], document: row._id });
  await hub.processes.startDownload({ account, store: row._id, job });
  await eventually(async () => {
    const operation = await store.operations.get(account, workflowId.replaceAll('/', '.'));
    if (operation.status !== 'done') throw new Error(`download is ${operation.status}: ${operation.error?.detail}`);
  });
  return { id: row._id, shopId: shop.shopId, platform };
}

export async function makeRule(
  hub: Hub,
  account: string,
  warehouses: readonly string[],
  stores: readonly string[],
  priority = 1,
  change: Partial<RuleInput> = {},
) {
  return hub.store.pushes.addRule(account, {
    name: `rule ${priority}`,
    enabled: true,
    priority,
    skus: { kind: 'all' },
    warehouses: [...warehouses],
    stores: [...stores],
    inventoryType: 'sellable',
    quantity: { kind: 'real' },
    zeroBelow: null,
    lowStock: null,
    preOrder: null,
    ...change,
  });
}

/** What the sandbox shop shows for a SKU. */
export async function shownQuantity(hub: Hub, store: ConnectedStore, sku: string): Promise<number> {
  const { items } = await hub.control.shop(store.platform, store.shopId);
  for (const item of items) for (const model of item.models) if (model.sku === sku) return model.stock;
  throw new Error(`the shop has no ${sku}`);
}

/** An order as it comes through the API, synced. @returns its package */
export async function makeOrder(
  hub: Hub,
  account: string,
  lines: readonly { sku: string; quantity: number }[],
  options: { platform?: string; shipping?: Shipping; number?: string } = {},
): Promise<string> {
  const result = await hub.store.orders.takeIn({
    account,
    store: 'api',
    platform: options.platform ?? 'shopee',
    storeName: 'API',
    platformOrder: options.number ?? newId('command'),
    state: 'ready_to_ship',
    platformState: 'READY',
    version: 1,
    placedAt: Date.now(),
    currency: 'MYR',
    shipping: options.shipping ?? 'platform_logistics',
    recipient: { name: 'Recipient Name', phone: '0123456789', address: 'Some Street 1' },
    lines: lines.map(({ sku, quantity }, index) => ({
      line: String(index + 1),
      title: sku,
      quantity,
      listing: null,
      sku,
    })),
  });
  hub.processes.wakeLanes(result.lanes);
  const [first] = result.packages;
  if (first === undefined) throw new Error(`the order is ${result.outcome}`);
  return first;
}

/** Begins a push and starts its workflow, as the API does. @returns what `beginPush` said */
export async function push(hub: Hub, account: string, pkg: string) {
  const start = await hub.store.orders.beginPush(account, pkg);
  if (start.kind === 'started')
    await hub.processes.startOrderPush({ account, package: pkg, attempt: start.attempt, supplier: start.supplier });
  return start;
}

/** Waits until a package is no longer being pushed. */
export async function pushEnd(hub: Hub, account: string, pkg: string) {
  return eventually(async () => {
    const row = await hub.store.orders.package(account, pkg);
    if (row.status === 'pushing') throw new Error('still pushing');
    return row;
  });
}
