/** SIGKILL at each write and signal of a command; the client then says it again, to an API that lives. */
import { setTimeout } from 'node:timers/promises';
import pLimit from 'p-limit';
import { newId } from '../../domain/ids';
import { type Child, endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import { expectAllInOrder } from '../support/invariants';
import type { KillPoint, StepTold } from '../support/kill-points';
import { PATIENT, placeOf, sweepEverySecond } from '../support/parts';
import { makeDistributor, makeOrder, makeStore, makeSupplier, pushEnd } from '../support/scenario';
import { everyPoint } from '../support/scenes';
import { serveApi } from '../support/served-api';

const LONG = process.env.LONG === '1';
/**
 * How far the clock of a killed API's store is behind: a key's lease of a minute then ends in two seconds, and what was
 * left is old enough for the sweep.
 */
const BEHIND_MS = 58_000;

interface Answer {
  readonly status: number;
  readonly replayed: boolean;
  // biome-ignore lint/suspicious/noExplicitAny: an answer's body is read by each test in its own way
  readonly body: any;
}

/** A child that tells of no step for this long has none left. Milliseconds. */
const QUIET_MS = 12_000;

(LONG ? describe : describe.skip)('the API killed at each step of a command', () => {
  let hub: Hub;
  let endSweep: () => Promise<void>;
  let living: Awaited<ReturnType<typeof serveApi>>;
  let people: Awaited<ReturnType<typeof makePeople>>;
  /** One that nobody kills: what it does tells where the others can be killed. */
  let watched: Child;
  const turn = pLimit(3);

  async function makePeople() {
    const supplier = await makeSupplier(hub, { skus: ['TEE-1'], onHand: 1_000 });
    const distributor = await makeDistributor(hub, supplier);
    const shop = await makeStore(hub, distributor.id, 'shopee', ['TEE-1'], { withRule: [distributor.warehouse] });
    return { supplier, distributor, shop };
  }

  beforeAll(async () => {
    hub = await startHub({ lanes: PATIENT, orderPush: PATIENT, sweepGraceMs: 1_000, auditUnknownAfterMs: 5_000 });
    endSweep = await sweepEverySecond(hub.client, hub.queuePrefix);
    living = await serveApi(hub);
    [people, watched] = await Promise.all([makePeople(), startApi(null)]);
  });
  afterAll(async () => {
    await endChildren();
    await endSweep?.();
    await living?.close();
    await hub?.stop();
  });

  const startApi = (kill: KillPoint | null) =>
    startChild('api', { place: placeOf(hub, hub.queuePrefix, { clockBehindMs: BEHIND_MS }), kill });

  /** @returns null where the connection broke off */
  async function post(
    port: number,
    path: string,
    key: string,
    idempotencyKey: string,
    body: object,
  ): Promise<Answer | null> {
    try {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, {
        method: 'POST',
        signal: AbortSignal.timeout(120_000),
        headers: {
          Authorization: `Bearer ${key}`,
          'Content-Type': 'application/json',
          'Idempotency-Key': idempotencyKey,
        },
        body: JSON.stringify(body),
      });
      const replayed = response.headers.get('idempotency-replayed') === 'true';
      return { status: response.status, replayed, body: await response.json() };
    } catch {
      return null;
    }
  }

  /** What a careful client does: the same again, as long as the first is said to be running. */
  async function again(path: string, key: string, idempotencyKey: string, body: object): Promise<Answer> {
    return eventually(async () => {
      const answer = await post(living.port, path, key, idempotencyKey, body);
      if (answer === null || answer.body.code === 'idempotency_in_progress') throw new Error('still in progress');
      return answer;
    });
  }

  /**
   * Waits until the child has killed itself at its point. The request that the points were counted by may have met a conflict
   * and taken steps more than this one; a child that has been through all of its own is killed here: after everything.
   * @returns the last step it told of, or the point where it was killed here
   */
  async function gone(child: Child, point: KillPoint): Promise<(KillPoint & { name?: string }) | undefined> {
    let isGone = false;
    const ended = child.ended.then((signal) => {
      isGone = true;
      return signal;
    });
    let killedHere = false;
    for (let told = -1; !isGone; ) {
      await Promise.race([ended, setTimeout(QUIET_MS)]);
      if (!isGone && told === child.steps.length) {
        expect(child.steps.at(-1)?.step).toBeLessThan(point.step);
        killedHere = true;
        await child.kill();
      }
      told = child.steps.length;
    }
    expect(await ended).toBe('SIGKILL');
    await endSessionsOf(child, hub.store.database.connection);
    return killedHere ? point : child.steps.at(-1);
  }

  /** Waits until the watched one has ended each step it began, and begins no more. @returns how many steps it told of */
  async function watchedIsQuiet(): Promise<number> {
    return eventually(async () => {
      const told = watched.steps.length;
      await setTimeout(500);
      expect(watched.steps.length).toBe(told);
      expect(watched.steps.filter(({ when }) => when === 'before')).toHaveLength(told / 2);
      return told;
    });
  }

  /** The steps of one request; what follows its answer counts too. */
  async function stepsOf(request: (child: Child) => Promise<unknown>): Promise<StepTold[]> {
    const from = await watchedIsQuiet();
    await request(watched);
    const until = await watchedIsQuiet();
    const begun = watched.steps.slice(from, until).filter(({ when }) => when === 'before');
    const steps = begun.map((step, index) => ({ ...step, step: index + 1 }));
    console.info(steps.map(({ name }, index) => `${index + 1} ${name}`).join('\n'));
    return steps;
  }

  /** What is there before a step is what was there after the one before it. */
  const pointsOf = (steps: readonly StepTold[]): KillPoint[] => [{ step: 1, when: 'before' }, ...everyPoint(steps)];

  const killedAt = (steps: readonly StepTold[], point: KillPoint) => steps[point.step - 1]?.name;
  const orderOf = async (pkg: string) => (await hub.store.orders.package(people.distributor.id, pkg)).order;

  test('POST /v1/orders/{id}/push: one push, whoever asks again', async () => {
    const { distributor } = people;
    const makeOne = async () => {
      const pkg = await makeOrder(hub, distributor.id, [{ sku: 'TEE-1', quantity: 1 }]);
      return { pkg, path: `/v1/orders/${await orderOf(pkg)}/push`, idempotencyKey: newId('command') };
    };
    const first = await makeOne();
    const steps = await stepsOf(async (child) => {
      expect(await post(child.port, first.path, distributor.key, first.idempotencyKey, {})).toMatchObject({
        status: 202,
      });
    });
    const points = pointsOf(steps);
    await Promise.all(
      points.map((point) =>
        turn(async () => {
          const { pkg, path, idempotencyKey } = await makeOne();
          const child = await startApi(point);
          // What follows the answer may be where it died.
          const answered = await post(child.port, path, distributor.key, idempotencyKey, {});
          const last = await gone(child, point);
          expect(last).toMatchObject(point);
          // Begun is begun: where the client never comes back, the sweep takes it up.
          const row = await hub.store.orders.package(distributor.id, pkg);
          if (row.attempt === 1) expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed' });
          const answer = await again(path, distributor.key, idempotencyKey, {});
          expect([200, 202]).toContain(answer.status);
          expect(answer.body.operation).toMatchObject({ kind: 'order_push', document: pkg });
          if (answered) expect(answer).toEqual({ ...answered, replayed: true });
          expect(await pushEnd(hub, distributor.id, pkg)).toMatchObject({ status: 'pushed', attempt: 1 });
          expect(await again(path, distributor.key, idempotencyKey, {})).toEqual({ ...answer, replayed: true });
        }),
      ),
    );
    await expectAllInOrder(hub);
  });

  test('POST /v1/stock/adjustments: one change, and its answer', async () => {
    const { supplier } = people;
    const path = '/v1/stock/adjustments';
    const warehouses = new Map<string, string>();
    const makeOne = async () => {
      // A warehouse of its own, so that the answer's figures are known.
      const warehouse = (await hub.store.catalogue.addWarehouse(supplier.id, { name: newId('command') }))._id;
      const idempotencyKey = newId('command');
      warehouses.set(idempotencyKey, warehouse);
      return { idempotencyKey, body: { warehouse, sku: 'TEE-1', kind: 'stockIn', quantity: 5, reason: 'found' } };
    };
    const first = await makeOne();
    const steps = await stepsOf(async (child) => {
      const answer = await post(child.port, path, supplier.key, first.idempotencyKey, first.body);
      expect(answer).toMatchObject({ status: 200, body: { onHand: 5 } });
    });
    const points = pointsOf(steps);
    await Promise.all(
      points.map((point) =>
        turn(async () => {
          const { idempotencyKey, body } = await makeOne();
          const child = await startApi(point);
          const answered = await post(child.port, path, supplier.key, idempotencyKey, body);
          expect(await gone(child, point)).toMatchObject(point);
          const answer = await again(path, supplier.key, idempotencyKey, body);
          expect(answer).toMatchObject({ status: 200, body: { onHand: 5, available: 5 } });
          // A signal that follows the answer may be where it died.
          if (answered) expect(answer).toEqual({ ...answered, replayed: true });
          expect(await again(path, supplier.key, idempotencyKey, body)).toEqual({ ...answer, replayed: true });
          expect((await post(living.port, path, supplier.key, idempotencyKey, { ...body, quantity: 6 }))?.status).toBe(
            422,
          );
          const levels = await hub.store.stock.levelsIn(supplier.id, 'TEE-1', [body.warehouse]);
          expect(levels).toMatchObject([{ onHand: 5 }]);
          // Who was killed left a trace, too, and no trace is lost with the head it was counted by.
          await eventually(async () => {
            const filter = { account: supplier.id, object: body.warehouse };
            const { items } = await hub.store.audit.list(filter, { limit: 10, after: null });
            const outcomes = items.map(({ outcome }) => outcome).filter((one) => one !== 'refused');
            expect(outcomes.every((one) => one === 'done' || one === 'unknown')).toBe(true);
            expect(outcomes).toContain('done');
            if (killedAt(steps, point) === 'insert auditIntents' && point.when === 'after')
              expect(outcomes).toContain('unknown');
          });
        }),
      ),
    );
    await eventually(async () => expect(await hub.store.database.models.auditIntents.countDocuments()).toBe(0));
    await expectAllInOrder(hub);
  });

  test('a webhook: one order, sent again by the platform or not', async () => {
    const { distributor, shop } = people;
    const { items } = await hub.control.shop('shopee', shop.shopId);
    const line = { itemId: items[0]?.itemId ?? '', modelId: items[0]?.models[0]?.modelId ?? '', quantity: 2 };
    const buy = async (port: number) => {
      await hub.control.configure({ callbackBaseUrl: `http://127.0.0.1:${port}` });
      return hub.control.createOrder('shopee', { shopId: shop.shopId, lines: [line] });
    };
    const ordersOf = (platformOrder: string) =>
      hub.store.database.models.orders.find({ account: distributor.id, platformOrder }).lean();
    const steps = await stepsOf(async (child) => {
      const { orderNumber } = await buy(child.port);
      await eventually(async () => expect(await ordersOf(orderNumber)).toHaveLength(1));
    });
    const points = pointsOf(steps);
    // One after the other: the sandbox has one address to push to.
    for (const point of points) {
      const child = await startApi(point);
      const { orderNumber } = await buy(child.port);
      const last = await gone(child, point);
      expect(last).toMatchObject(point);
      const isStored = !(last?.name === 'insert inbox' && last.when === 'before');
      // Stored is stored: the sweep takes it in before anybody sends it again.
      if (isStored) await eventually(async () => expect(await ordersOf(orderNumber)).toHaveLength(1));
      await hub.control.configure({ callbackBaseUrl: living.url });
      await eventually(async () => {
        const { pushes } = await hub.control.pushes({ orderNumber });
        expect(pushes).toMatchObject([{ state: 'delivered' }]);
        expect(await ordersOf(orderNumber)).toMatchObject([{ packages: [expect.any(String)] }]);
      });
      await hub.control.repeatPush('shopee', orderNumber, { times: 3, parallel: true });
      expect(await ordersOf(orderNumber)).toHaveLength(1);
    }
    await expectAllInOrder(hub);
  });
});
