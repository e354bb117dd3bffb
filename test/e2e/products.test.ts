/** A distribution product from its publication to everybody's stores and back, over HTTP on the running hub. Contract: catalogue.md, Distribution products. */
import { createHttpClient, expectReply, type HttpClient } from '../support/http-client';
import { eventually, type Hub, startHub } from '../support/hub';
import {
  type ConnectedStore,
  makeDistributor,
  makeRule,
  makeStore,
  makeSupplier,
  shownQuantity,
} from '../support/scenario';
import { serveApi } from '../support/served-api';

let hub: Hub;
let api: Awaited<ReturnType<typeof serveApi>>;
beforeAll(async () => {
  hub = await startHub();
  api = await serveApi({ ...hub, checkAnswers: true });
});
afterAll(async () => {
  await api?.close();
  await hub?.stop();
});

interface Seller {
  readonly id: string;
  readonly call: HttpClient;
  readonly place: string;
  readonly stores: readonly ConnectedStore[];
}

const myr = (amount: string) => ({ amount, currency: 'MYR' });

async function approved(
  supplier: HttpClient,
  warehouse: string,
): Promise<{ account: string; id: string; key: string }> {
  const { account, key } = await hub.store.accounts.create({ name: 'Seller', plan: 'basic', orderQuota: null });
  const call = createHttpClient(api.url)(key);
  await expectReply(call.patch('/account', { inventoryEnabled: true }), 200);
  const { token } = await expectReply(supplier.post('/supplier/invitations'), 201);
  const application = { invitation: token, company: 'C', contactName: 'N', phone: '1', channels: ['shopee'] };
  const { id } = await expectReply(call.post('/distributor/applications', application), 201);
  const approval = { customer: { name: 'C' }, settlementCurrency: 'MYR', level: null, warehouses: [warehouse] };
  await expectReply(supplier.post(`/supplier/distributors/${id}/approve`, approval), 200);
  return { account: account._id, id, key };
}

/** A distributor who claimed the product, with a rule that shows it in stores of these platforms. */
async function selling(
  supplier: HttpClient,
  warehouse: string,
  sku: string,
  platforms: readonly ('shopee' | 'lazada')[],
): Promise<Seller> {
  const { account, id, key } = await approved(supplier, warehouse);
  const call = createHttpClient(api.url)(key);
  await expectReply(call.post(`/distributor/suppliers/${id}/claims`, { sku }), 201);
  const [place] = (await expectReply(call.get('/warehouses'), 200)).items;
  const stores: ConnectedStore[] = [];
  for (const platform of platforms) stores.push(await makeStore(hub, account, platform, [sku]));
  await makeRule(
    hub,
    account,
    [place.id],
    stores.map((store) => store.id),
  );
  return { id, call, place: place.id, stores };
}

test('is published by its workflow; disabled it is 0 in all stores of all, enabled again it is back', async () => {
  const made = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 1 });
  const supplier = createHttpClient(api.url)(made.key);
  await expectReply(supplier.post('/skus', { sku: 'NEW', name: 'New' }), 201);
  const reader = await approved(supplier, made.warehouse);
  const unclaimed = async () =>
    (
      (
        await expectReply(
          createHttpClient(api.url)(reader.key).get(`/distributor/suppliers/${reader.id}/products?claimed=false`),
          200,
        )
      ).items as { sku: string }[]
    ).map(({ sku }) => sku);
  expect(await unclaimed()).toEqual(['TEE-1']);
  const { operation } = await expectReply(
    supplier.post('/supplier/products', { sku: 'NEW', basePrice: myr('5.00') }),
    202,
  );
  expect(operation).toMatchObject({ kind: 'product_publication', document: 'NEW' });
  await eventually(async () => expect(await unclaimed()).toEqual(['NEW', 'TEE-1']));
  expect(await expectReply(supplier.get(`/operations/${operation.id}`), 200)).toMatchObject({ status: 'done' });

  const [a, b] = [
    await selling(supplier, made.warehouse, 'NEW', ['shopee', 'lazada']),
    await selling(supplier, made.warehouse, 'NEW', ['shopee']),
  ];
  const adjust = (kind: string, quantity: number) =>
    expectReply(
      supplier.post('/stock/adjustments', { warehouse: made.warehouse, sku: 'NEW', kind, quantity, reason: 'r' }),
      200,
    );
  const shows = (sellers: readonly Seller[], quantity: number) =>
    eventually(async () => {
      for (const { stores } of sellers)
        for (const store of stores) expect(await shownQuantity(hub, store, 'NEW')).toBe(quantity);
    });
  await adjust('stockIn', 12);
  await shows([a, b], 12);

  const path = '/supplier/products/NEW';
  await expectReply(supplier.post(`${path}/disable`, { reason: 'recall of the maker' }), 200);
  await shows([a, b], 0);
  expect(await unclaimed()).toEqual(['TEE-1']);
  // While it is off, what the supplier gets in reaches nobody.
  await adjust('stockIn', 3);
  await expectReply(supplier.post(`${path}/enable`), 202);
  await shows([a, b], 15);

  await expectReply(supplier.post(`${path}/distributors/${a.id}/disable`), 200);
  await shows([a], 0);
  await adjust('stockOut', 4);
  await shows([b], 11);
  await shows([a], 0);
  await expectReply(supplier.post(`${path}/distributors/${a.id}/enable`), 200);
  await shows([a, b], 11);

  // Hidden by a rule is the same to a store, and so is the rule's end.
  const distributors = { kind: 'list', distributors: [a.id] };
  const rule = { number: 1, kind: 'only', distributors, products: { kind: 'list', skus: ['NEW'] } };
  const { id } = await expectReply(supplier.post('/supplier/visibility-rules', rule), 201);
  await shows([b], 0);
  await shows([a], 11);
  await expectReply(supplier.delete(`/supplier/visibility-rules/${id}`), 204);
  await shows([a, b], 11);

  // A claim that ends is 0 there, too.
  await expectReply(b.call.delete(`/distributor/suppliers/${b.id}/claims/NEW`), 200);
  await shows([b], 0);
  await shows([a], 11);
});

test('disabled, enabled or hidden, it moves the claims of every partner, however many there are', async () => {
  const made = await makeSupplier(hub);
  const supplier = createHttpClient(api.url)(made.key);
  const of = await makeDistributor(hub, made);
  // More than a request looks at itself.
  const { partnerships, claims } = hub.store.database.models;
  const [partnership, claim] = [
    await partnerships.findById(of.partnership).lean(),
    await claims.findOne({ partnership: of.partnership }).lean(),
  ];
  const others = Array.from({ length: 24 }, (_, index) => ({
    partnership: `${of.partnership}${index}`,
    distributor: `${of.id}${index}`,
  }));
  await partnerships.collection.insertMany(
    others.map(({ partnership: _id, distributor }) => ({ ...partnership, _id, distributor })) as never,
  );
  await claims.collection.insertMany(
    others.map((other) => ({ ...claim, ...other, _id: `${other.partnership}/TEE-1` })) as never,
  );
  const counts = (active: number, inactive: number) =>
    eventually(async () =>
      expect((await expectReply(supplier.get('/supplier/products/TEE-1'), 200)).claims).toEqual({
        ...{ active, inactive, stopped: 0 },
      }),
    );
  await counts(25, 0);
  await expectReply(supplier.post('/supplier/products/TEE-1/disable'), 200);
  await counts(0, 25);
  await expectReply(supplier.post('/supplier/products/TEE-1/enable'), 202);
  await counts(25, 0);
  const distributors = { kind: 'list', distributors: [of.id] };
  const rule = { number: 1, kind: 'only', distributors, products: { kind: 'all' } };
  const { id } = await expectReply(supplier.post('/supplier/visibility-rules', rule), 201);
  await counts(1, 24);
  await expectReply(supplier.patch(`/supplier/visibility-rules/${id}`, { kind: 'hide' }), 200);
  await counts(24, 1);
  await expectReply(supplier.delete(`/supplier/visibility-rules/${id}`), 204);
  await counts(25, 0);
});
