/** A seller with own goods and a supplier's, in a shop at each platform, as their callers see it over HTTP. */
import { createHttpClient, expectReply, type HttpClient } from './http-client';
import { eventually, type Hub, type HubOptions, startHub } from './hub';
import {
  type ConnectedStore,
  type Distributor,
  makeDistributor,
  makeStore,
  makeSupplier,
  type Supplier,
} from './scenario';
import { serveApi } from './served-api';

export const PLATFORMS = ['shopee', 'lazada'] as const;
export type Platform = (typeof PLATFORMS)[number];

export interface SellerScene {
  readonly hub: Hub;
  readonly api: Awaited<ReturnType<typeof serveApi>>;
  readonly supplier: Supplier;
  readonly distributor: Distributor;
  readonly seller: HttpClient;
  /** The supplier's calls. */
  readonly maker: HttpClient;
  /** The seller's own warehouse, with 500 of OWN-1. */
  readonly own: string;
  /** Each sells OWN-1, and the supplier's TEE-1. */
  readonly shops: Readonly<Record<Platform, ConnectedStore>>;
  close(): Promise<void>;
}

export async function startSellerScene(options: HubOptions): Promise<SellerScene> {
  const hub = await startHub(options);
  const api = await serveApi({ ...hub, checkAnswers: true });
  await hub.control.configure({ callbackBaseUrl: api.url });
  const as = createHttpClient(api.url);
  const supplier = await makeSupplier(hub, { onHand: 1_000, price: 1_000, fees: { stockOut: 50, logistics: 0 } });
  const distributor = await makeDistributor(hub, supplier);
  const seller = as(distributor.key);
  await expectReply(seller.post('/skus', { sku: 'OWN-1', name: 'Own' }), 201);
  const { id: own } = await expectReply(seller.post('/warehouses', { name: 'Mine' }), 201);
  const stockIn = { warehouse: own, sku: 'OWN-1', kind: 'stockIn', quantity: 500, reason: 'first' };
  await expectReply(seller.post('/stock/adjustments', stockIn), 200);
  const shops = {} as Record<Platform, ConnectedStore>;
  for (const platform of PLATFORMS)
    shops[platform] = await makeStore(hub, distributor.id, platform, ['OWN-1', 'TEE-1']);
  return {
    ...{ hub, api, supplier, distributor, seller, maker: as(supplier.key), own, shops },
    async close() {
      await api.close();
      await hub.stop();
    },
  };
}

/** What one side was told of a document. */
export const noticesOf = async (call: HttpClient, event: string, document: string) =>
  (await expectReply(call.get('/notifications?limit=200'), 200)).items.filter(
    (row: { event: string; document: string }) => row.event === event && row.document === document,
  );

/** A buyer orders at a platform; taken in, with a package for each SKU. */
export async function buy(
  { hub, seller, shops }: SellerScene,
  platform: Platform,
  quantities: Readonly<Record<string, number>>,
) {
  const shop = shops[platform];
  const { items } = await hub.control.shop(platform, shop.shopId);
  const lines = items.flatMap(({ itemId, models }) =>
    models.flatMap(({ modelId, sku }) =>
      quantities[sku] === undefined ? [] : [{ itemId, modelId, quantity: quantities[sku] }],
    ),
  );
  const { orderNumber: number } = await hub.control.createOrder(platform, { shopId: shop.shopId, lines });
  const order = await eventually(async () => {
    const [found] = (await expectReply(seller.get(`/orders?number=${number}`), 200)).items;
    expect(found?.packages.length).toBe(Object.keys(quantities).length);
    return found;
  });
  return { id: order.id as string, number, packages: order.packages as { id: string; partnership: string | null }[] };
}
