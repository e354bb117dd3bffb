/** SIGKILL before and after each write, signal and platform call that the push of one order leads to. */
import pLimit from 'p-limit';
import { mirrorLaneId, storeLaneId } from '../../domain/process-ids';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import type { KillPoint, StepTold } from '../support/kill-points';
import { PATIENT, patientProcesses, placeOf, runWorker, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeOrder, makeStore, makeSupplier, push, pushEnd, shownQuantity } from '../support/scenario';
import { everyPoint, scenesAtRest } from '../support/scenes';

const LONG = process.env.LONG === '1';
/** Scenes that recover at once; each has a worker of its own. */
const GROUP = 12;

/** A supplier, a distributor with an order, and another one whose shop must hear of it. */
async function makeScene(hub: Hub) {
  const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 50 });
  const [buyer, seller] = await Promise.all([makeDistributor(hub, supplier), makeDistributor(hub, supplier)]);
  const shop = await makeStore(hub, seller.id, 'shopee', supplier.skus, { withRule: [seller.warehouse] });
  await eventually(async () => expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(50));
  const pkg = await makeOrder(hub, buyer.id, [{ sku: 'TEE-1', quantity: 3 }]);
  const lanes = [mirrorLaneId(buyer.partnership), mirrorLaneId(seller.partnership), storeLaneId(shop.id)];
  return { supplier, buyer, seller, shop, pkg, lanes };
}
type Scene = Awaited<ReturnType<typeof makeScene>>;

// Three quarters of a minute: in the long tests alone.
(LONG ? describe : describe.skip)('the worker killed at each step of a push', () => {
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

  const makeScenes = (count: number) =>
    scenesAtRest(
      hub,
      count,
      () => makeScene(hub),
      ({ lanes }) => lanes,
    );

  /** Pushes the scene's order through a worker that dies there. @returns what it did until then */
  async function pushAndDie(scene: Scene, kill: KillPoint | null, endSessions = true) {
    numbered += 1;
    const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`);
    const processes = patientProcesses(hub.client, place.queuePrefix, hub.logger);
    const child = await startChild('worker', { place, kill });
    await push({ ...hub, processes }, scene.buyer.id, scene.pkg);
    const settled = eventually(async () => {
      expect(await shownQuantity(hub, scene.shop, 'TEE-1')).toBe(47);
      expect(await hub.store.database.models.dues.countDocuments({ lane: { $in: scene.lanes } })).toBe(0);
    }).then(() => null);
    const ended = await Promise.race([child.ended, settled]);
    await child.kill();
    if (endSessions) await endSessionsOf(child, hub.store.database.connection);
    const { store, connectors, notifiers, logger } = hub;
    workers.push(await runWorker(place, { store, connectors, notifiers, logger, processes }));
    return { ended, steps: child.steps };
  }

  test('a push that nobody disturbs: its steps', async () => {
    const [scene] = (await makeScenes(1)) as [Scene];
    const run = await pushAndDie(scene, null);
    expect(run.ended).toBeNull();
    steps = run.steps.filter(({ when }) => when === 'before');
    const names = steps.map(({ name }) => name);
    console.info(names.map((name, index) => `${index + 1} ${name}`).join('\n'));
    expect(names).toContain('commitTransaction');
    expect(names).toContain('temporal signalWithStart mirrorLane');
    expect(names).toContain('temporal signalWithStart storeLane');
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
            const { ended, steps: done } = await pushAndDie(scenes[index] as Scene, point, from !== 0);
            if (ended !== 'SIGKILL') missed.push(`${point.when} ${point.step} of ${done.length / 2}`);
            else expect(done.at(-1)).toMatchObject(point);
          }),
        ),
      );
      for (const scene of scenes)
        expect(await pushEnd(hub, scene.buyer.id, scene.pkg)).toMatchObject({ status: 'pushed' });
      await expectAllInOrder(hub);
      // What was killed goes on to serve.
      await Promise.all(
        scenes.map(async (scene) => {
          const next = await makeOrder(hub, scene.buyer.id, [{ sku: 'TEE-1', quantity: 1 }]);
          await push(hub, scene.buyer.id, next);
          expect(await pushEnd(hub, scene.buyer.id, next)).toMatchObject({ status: 'pushed' });
        }),
      );
      await expectAllInOrder(hub);
      for (const scene of scenes) expect(await shownQuantity(hub, scene.shop, 'TEE-1')).toBe(46);
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
    }
    // The last steps are those of lanes, whose number depends on what they find done.
    expect(missed.length).toBeLessThanOrEqual(points.length / 8);
  });
});
