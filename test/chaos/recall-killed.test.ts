/** SIGKILL before and after each write, signal and platform call that the recall of a pushed order leads to. */
import pLimit from 'p-limit';
import { mirrorLaneId, storeLaneId } from '../../domain/process-ids';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import type { KillPoint, StepTold } from '../support/kill-points';
import { PATIENT, patientProcesses, placeOf, runWorker, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeStore, makeSupplier, push, pushEnd, shownQuantity } from '../support/scenario';
import { everyPoint, scenesAtRest } from '../support/scenes';

const LONG = process.env.LONG === '1';
/** Scenes that recover at once; each has a worker of its own. */
const GROUP = 12;

(LONG ? describe : describe.skip)('the worker killed at each step of a recall', () => {
  let hub: Hub;
  let endSweep: () => Promise<void>;
  let steps: StepTold[] = [];
  let numbered = 0;
  const workers: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    hub = await startHub({ lanes: PATIENT, orderPush: PATIENT, sweepGraceMs: 2_000, platformTimeoutMs: 5_000 });
    endSweep = await sweepEverySecond(hub.client, hub.queuePrefix);
  });
  afterAll(async () => {
    await endChildren();
    await endSweep?.();
    await Promise.all(workers.map((worker) => worker.stop()));
    await hub?.stop();
  });

  /** What the platform says of a buyer's order of 3. */
  const told = (account: string, number: string, state: 'ready_to_ship' | 'cancelled') =>
    hub.store.orders.takeIn({
      account,
      store: 'api',
      platform: 'shopee',
      storeName: 'API',
      platformOrder: number,
      state,
      platformState: state,
      version: state === 'cancelled' ? 2 : 1,
      placedAt: 1,
      currency: 'MYR',
      shipping: 'platform_logistics',
      recipient: null,
      lines: [{ line: '1', title: 'Tee', quantity: 3, listing: null, sku: 'TEE-1' }],
    });

  /** A pushed order, and another distributor whose shop must hear when its goods come back. */
  async function makeScene() {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 50 });
    const [buyer, seller] = await Promise.all([makeDistributor(hub, supplier), makeDistributor(hub, supplier)]);
    const shop = await makeStore(hub, seller.id, 'shopee', supplier.skus, { withRule: [seller.warehouse] });
    const { packages, lanes } = await told(buyer.id, 'A', 'ready_to_ship');
    hub.processes.wakeLanes(lanes);
    const [pkg = ''] = packages;
    await push(hub, buyer.id, pkg);
    expect(await pushEnd(hub, buyer.id, pkg)).toMatchObject({ status: 'pushed' });
    await eventually(async () => expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(47));
    const own = [mirrorLaneId(buyer.partnership), mirrorLaneId(seller.partnership), storeLaneId(shop.id)];
    return { supplier, buyer, seller, shop, pkg, lanes: own };
  }
  type Scene = Awaited<ReturnType<typeof makeScene>>;

  const makeScenes = (count: number) => scenesAtRest(hub, count, makeScene, ({ lanes }) => lanes);

  /** The buyer cancels; the recall runs in a worker that dies there. @returns what it did until then */
  async function recallAndDie(scene: Scene, kill: KillPoint | null) {
    numbered += 1;
    const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`);
    const processes = patientProcesses(hub.client, place.queuePrefix, hub.logger);
    const child = await startChild('worker', { place, kill });
    const { recalls } = await told(scene.buyer.id, 'A', 'cancelled');
    for (const recall of recalls) await processes.startOrderRecall(recall);
    const settled = eventually(async () => {
      expect(await shownQuantity(hub, scene.shop, 'TEE-1')).toBe(50);
      expect(await hub.store.database.models.dues.countDocuments({ lane: { $in: scene.lanes } })).toBe(0);
    }).then(() => null);
    const ended = await Promise.race([child.ended, settled]);
    await child.kill();
    await endSessionsOf(child, hub.store.database.connection);
    const { store, connectors, logger } = hub;
    workers.push(await runWorker(place, { store, connectors, notifiers: hub.notifiers, logger, processes }));
    return { ended, steps: child.steps };
  }

  test('a recall that nobody disturbs: its steps', async () => {
    const [scene] = (await makeScenes(1)) as [Scene];
    const run = await recallAndDie(scene, null);
    expect(run.ended).toBeNull();
    steps = run.steps.filter(({ when }) => when === 'before');
    const names = steps.map(({ name }) => name);
    console.info(names.map((name, index) => `${index + 1} ${name}`).join('\n'));
    for (const name of ['commitTransaction', 'insert records', 'temporal signalWithStart mirrorLane'])
      expect(names).toContain(name);
    expect(names).toContain('shopee updateStock');
    await expectAllInOrder(hub);
  });

  test('killed there, everything ends as if it had not been', async () => {
    const points = everyPoint(steps);
    const missed: string[] = [];
    for (let from = 0; from < points.length; from += GROUP) {
      const group = points.slice(from, from + GROUP);
      const scenes = await makeScenes(group.length);
      const turn = pLimit(3);
      await Promise.all(
        group.map((point, index) =>
          turn(async () => {
            const { ended, steps: done } = await recallAndDie(scenes[index] as Scene, point);
            if (ended !== 'SIGKILL') missed.push(`${point.when} ${point.step} of ${done.length / 2}`);
            else expect(done.at(-1)).toMatchObject(point);
          }),
        ),
      );
      await expectAllInOrder(hub);
      const { models } = hub.store.database;
      for (const { pkg, buyer, shop } of scenes) {
        expect(await hub.store.orders.package(buyer.id, pkg)).toMatchObject({ status: 'recalled' });
        expect(await models.records.countDocuments({ package: pkg, type: 'order_recall' })).toBe(1);
        expect(await models.notifications.countDocuments({ event: 'recall_confirmed', document: pkg })).toBe(1);
        expect(await hub.store.billing.account(null, buyer.partnership)).toMatchObject({ balance: 0 });
        expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(50);
      }
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
    }
    // The last steps are those of lanes, whose number depends on what they find done.
    expect(missed.length).toBeLessThanOrEqual(points.length / 6);
  });
});
