/** SIGKILL before and after each write and signal of a termination: it ends as if nobody had been killed. */
import pLimit from 'p-limit';
import { isHubError } from '../../domain/failures';
import { newId } from '../../domain/ids';
import { mirrorLaneId, processId, storeLaneId } from '../../domain/process-ids';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import type { KillPoint } from '../support/kill-points';
import { PATIENT, patientProcesses, placeOf, runWorker, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeStore, makeSupplier, shownQuantity } from '../support/scenario';
import { everyPoint, scenesAtRest } from '../support/scenes';

const LONG = process.env.LONG === '1';
/** Scenes that recover at once; each has a worker of its own. */
const GROUP = 8;
async function makeScene(hub: Hub) {
  const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 50 });
  const distributor = await makeDistributor(hub, supplier);
  const shop = await makeStore(hub, distributor.id, 'shopee', supplier.skus, { withRule: [distributor.warehouse] });
  await eventually(async () => expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(50));
  const { partnership } = distributor;
  const processes = [processId('partnership', { partnership }), mirrorLaneId(partnership), storeLaneId(shop.id)];
  return { supplier, distributor, shop, partnership, processes };
}
type Scene = Awaited<ReturnType<typeof makeScene>>;

(LONG ? describe : describe.skip)('the worker killed at each step of a termination', () => {
  let hub: Hub;
  let numbered = 0;
  const workers: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    hub = await startHub({ lanes: PATIENT, sweepGraceMs: 2_000, platformTimeoutMs: 5_000 });
  });
  afterAll(async () => {
    await endChildren();
    await Promise.all(workers.map((worker) => worker.stop()));
    await hub?.stop();
  });

  const makeScenes = (count: number) =>
    scenesAtRest(
      hub,
      count,
      () => makeScene(hub),
      ({ processes }) => processes,
    );

  async function isOver({ shop, partnership, processes }: Scene): Promise<void> {
    const { models } = hub.store.database;
    expect(await models.partnerships.findById(partnership).lean()).toMatchObject({ status: 'terminated', open: false });
    expect(await models.claims.find({ partnership }).lean()).toMatchObject([
      { causes: ['not_partnered'], inactiveSince: expect.any(Date) },
    ]);
    expect(await shownQuantity(hub, shop, 'TEE-1')).toBe(0);
    expect(await models.dues.countDocuments({ lane: { $in: processes } })).toBe(0);
    // Each side was told once.
    expect(await models.notifications.countDocuments({ event: 'partnership_terminated', document: partnership })).toBe(
      2,
    );
  }

  /** Terminates through a worker that dies there. @returns what it did until then, and what makes an end of it */
  async function terminateAndDie(scene: Scene, kill: KillPoint | null) {
    numbered += 1;
    const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`);
    const processes = patientProcesses(hub.client, place.queuePrefix, hub.logger);
    const child = await startChild('worker', { place, kill });
    const command = { move: 'terminate', party: scene.supplier.id, command: newId('command'), reason: null } as const;
    // A careful client says the same again until it is answered.
    const answered = (async () => {
      for (;;)
        try {
          return await processes.movePartnership(scene.partnership, command);
        } catch (error) {
          if (!isHubError(error) || error.code !== 'unavailable') throw error;
        }
    })();
    const settled = answered.then(() => eventually(() => isOver(scene))).then(() => null);
    settled.catch(() => {});
    const ended = await Promise.race([child.ended, settled]);
    await child.kill();
    await endSessionsOf(child, hub.store.database.connection);
    return {
      ended,
      steps: child.steps,
      async recover() {
        const { store, connectors, notifiers, logger } = hub;
        workers.push(await runWorker(place, { store, connectors, notifiers, logger, processes }));
        return place.queuePrefix;
      },
      async end() {
        expect(await answered).toEqual({ ok: true, status: 'terminated' });
        await eventually(() => isOver(scene));
      },
    };
  }

  test('ends as if nobody had been killed', async () => {
    const [watched] = (await makeScenes(1)) as [Scene];
    const run = await terminateAndDie(watched, null);
    expect(run.ended).toBeNull();
    const steps = run.steps.filter(({ when }) => when === 'before');
    console.info(steps.map(({ step, name }) => `${step} ${name}`).join('\n'));
    const points = everyPoint(steps);
    const missed: string[] = [];
    for (let from = 0; from < points.length; from += GROUP) {
      const group = points.slice(from, from + GROUP);
      const scenes = await makeScenes(group.length);
      const turn = pLimit(3);
      const runs = await Promise.all(
        group.map((point, index) => turn(() => terminateAndDie(scenes[index] as Scene, point))),
      );
      for (const [index, { ended }] of runs.entries())
        if (ended !== 'SIGKILL') missed.push(JSON.stringify(group[index]));
      // All are dead before anything lives again: the sweep takes up what it finds, whosever it is.
      const [queue = ''] = await Promise.all(runs.map(({ recover }) => recover()));
      const endSweep = await sweepEverySecond(hub.client, queue);
      await Promise.all(runs.map(({ end }) => end()));
      await expectAllInOrder(hub);
      await endSweep();
      await Promise.all(workers.splice(0).map((worker) => worker.stop()));
    }
    // The last steps are those of lanes, whose number depends on what they find done.
    expect(missed.slice(points.length / 4)).toEqual([]);
  });
});
