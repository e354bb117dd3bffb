/** SIGKILL before and after each write and each sending of a notification by mail and by HTTPS call. */
import { randomBytes } from 'node:crypto';
import pLimit from 'p-limit';
import { createNotifiers } from '../../connectors/notifications';
import { deliveryIdOf } from '../../store/repositories/deliveries';
import { endChildren, endSessionsOf, startChild } from '../support/children';
import { eventually, type Hub, startHub } from '../support/hub';
import type { KillPoint, NamedKillPoint, StepTold } from '../support/kill-points';
import { patientProcesses, placeOf, runWorker } from '../support/parts';
import { type MailServer, type Receiver, startMailServer, startReceiver } from '../support/receivers';

const LONG = process.env.LONG === '1';

// Half a minute of waiting: in the long tests alone.
(LONG ? describe : describe.skip)('the worker killed at each step of a delivery', () => {
  let hub: Hub;
  let mailServer: MailServer;
  let receiver: Receiver;
  let numbered = 0;
  const workers: { stop(): Promise<void> }[] = [];

  beforeAll(async () => {
    [mailServer, receiver] = await Promise.all([startMailServer(), startReceiver()]);
    hub = await startHub({ withoutWorker: true });
    hub.store.notifications.onDue(() => {});
  });
  afterAll(async () => {
    await endChildren();
    await Promise.all(workers.map((worker) => worker.stop()));
    await hub?.stop();
    await Promise.all([mailServer?.close(), receiver?.close()]);
  });

  /** Tells an account by one channel through a worker that dies there, then lets another one go on. */
  async function deliverAndDie(channel: 'email' | 'https', kill: KillPoint | NamedKillPoint | null) {
    numbered += 1;
    const smtp = { url: mailServer.url, from: 'hub@hub.example' };
    const place = placeOf(hub, `${hub.queuePrefix}-${numbered}`, { smtp });
    const processes = patientProcesses(hub.client, place.queuePrefix, hub.logger);
    const account = `acct_${randomBytes(6).toString('hex')}`;
    await hub.store.subscriptions.put(account, {
      email: { address: 'told@shop.example' },
      https: { url: receiver.url },
      events: { recall_asked: [channel] },
    });
    await hub.store.notifications.notify(null, { account, event: 'recall_asked', occurrence: '1', document: 'pkg_1' });
    const id = deliveryIdOf(`${account}/recall_asked/1`, channel);
    const child = await startChild('worker', { place, kill });
    await processes.startDelivery({ delivery: id, account });
    const isSent = async () =>
      expect(await hub.store.database.models.deliveries.findById(id).lean()).toMatchObject({
        status: 'sent',
        error: null,
      });
    const ended = kill === null ? await eventually(isSent).then(() => null) : await child.ended;
    await child.kill();
    await endSessionsOf(child, hub.store.database.connection);
    const notifiers = createNotifiers({ smtp, allowPrivateAddresses: true, timeoutMs: 3_000 });
    const { store, connectors, logger } = hub;
    workers.push(await runWorker(place, { store, connectors, notifiers, logger, processes }));
    await eventually(isSent);
    await eventually(async () =>
      expect((await hub.client.workflow.getHandle(`notification-delivery/${id}`).describe()).status.name).toBe(
        'COMPLETED',
      ),
    );
    const times =
      channel === 'email'
        ? mailServer.mails.filter((mail) => mail.id === `<${id}@hub.example>`).length
        : receiver.calls.filter(({ headers }) => headers['webhook-id'] === id).length;
    expect(await hub.store.database.models.notifications.countDocuments({ account })).toBe(1);
    return { ended, times, steps: child.steps.filter(({ when }) => when === 'before') };
  }

  /** What a run that nobody disturbs does. */
  async function calmSteps(channel: 'email' | 'https') {
    const { steps, times } = await deliverAndDie(channel, null);
    expect(times).toBe(1);
    return everyPoint(steps).map((point) => ({ channel, point }));
  }

  test('everything is told, more than once at most where nobody knows, with the same id', async () => {
    const points = LONG ? (await Promise.all([calmSteps('https'), calmSteps('email')])).flat() : SOME_POINTS;
    const turn = pLimit(LONG ? 3 : SOME_POINTS.length);
    const outcomes = await Promise.all(
      points.map(({ channel, point }) =>
        turn(async () => ({ channel, point, ...(await deliverAndDie(channel, point)) })),
      ),
    );
    for (const { channel, point, ended, times, steps } of outcomes) {
      expect(ended).toBe('SIGKILL');
      const isSent =
        steps.some(({ name }) => name.startsWith('notify')) &&
        !(steps.at(-1)?.name.startsWith('notify') && point.when === 'before');
      const isKnown = steps.at(-1)?.name === 'commitTransaction' && point.when === 'after';
      // Where it was sent and nobody knew, it came twice: at least once is not at most once.
      expect([channel, point, times]).toEqual([channel, point, isSent && !isKnown ? 2 : 1]);
    }
  });
});

const SOME_POINTS: readonly { channel: 'email' | 'https'; point: NamedKillPoint }[] = [
  { channel: 'https', point: { first: 'notify', when: 'after' } },
  { channel: 'email', point: { first: 'commitTransaction', when: 'after' } },
];

/** After each step; before it is after the one before. */
function everyPoint(steps: readonly StepTold[]): KillPoint[] {
  return steps.map(({ step }) => ({ step, when: 'after' }));
}
