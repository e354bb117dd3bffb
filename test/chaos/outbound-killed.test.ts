/** SIGKILL between a push's transaction and the outbound order that it is to create in somebody else's warehouse. */
import { endChildren, startChild } from '../support/children';
import { type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import { placeOf, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeOrder, makeSupplier, push, pushEnd } from '../support/scenario';
import { createFakeWarehouse } from '../support/warehouse';

(process.env.LONG === '1' ? describe : describe.skip)('the worker killed once the push is committed', () => {
  const warehouse = createFakeWarehouse();
  let hub: Hub;
  let endSweep: () => Promise<void>;

  beforeAll(async () => {
    hub = await startHub({ outbound: warehouse, withoutWorker: true });
  });
  afterAll(async () => {
    await endChildren();
    await endSweep?.();
    await hub?.stop();
  });

  test('another one goes on with the same attempt, and one outbound order is there', async () => {
    const first = await hub.startWorker();
    const supplier = await makeSupplier(hub, { onHand: 50 });
    const distributor = await makeDistributor(hub, supplier);
    const { models } = hub.store.database;
    await models.warehouses.updateOne({ _id: supplier.warehouse }, { $set: { kind: 'third_party' } });
    const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 3 }]);
    await expectAllInOrder(hub);
    await first.stop();

    // The child has no connection to the warehouse: were it to go on, the push would be refused.
    const child = await startChild('worker', {
      place: placeOf(hub, hub.queuePrefix),
      kill: { first: 'commitTransaction', when: 'after' },
    });
    await push(hub, distributor.id, pkg);
    expect(await child.ended).toBe('SIGKILL');
    expect(await hub.store.orders.package(distributor.id, pkg)).toMatchObject({
      status: 'pushing',
      supplyOrder: null,
      outbound: { state: 'creating', asked: false },
    });
    await hub.startWorker();
    endSweep = await sweepEverySecond(hub.client, hub.queuePrefix);
    expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed', attempt: 1 });
    expect([...warehouse.orders.keys()]).toEqual([`${pkg.replace(/^pkg/, 'sord')}-1`]);
    await expectAllInOrder(hub);
  });
});
