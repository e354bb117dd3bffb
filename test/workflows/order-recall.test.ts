import type { RecallDirection } from '../../activities/order-recall';
import { orderRecallId } from '../../domain/process-ids';
import { JOIN_OR_START } from '../../workflows/ids';
import * as messages from '../../workflows/messages';
import type { orderRecall } from '../../workflows/order-recall';
import { eventually } from '../support/hub';
import { costOf, detailsOf, type FakeActivities, openStage, type Stage, unavailable } from './fake';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const ended = (outcome: 'recalled' | 'failed'): RecallDirection => ({ next: 'end', outcome });
const asked = (waitMs = 60_000): RecallDirection => ({ next: 'answer', waitMs });

/** Directions one after the other, the last for ever; and what was called. */
function fakes(
  directions: readonly (RecallDirection | Error)[],
  reply: messages.RecallReply = { ok: true, outcome: 'recalled' },
) {
  const calls: string[] = [];
  let turn = 0;
  const activities: FakeActivities = {
    async advanceRecall({ outbound }) {
      calls.push(outbound === null ? 'advance' : `advance ${outbound.cancelled}`);
      const direction = directions[Math.min(turn, directions.length - 1)];
      turn += 1;
      if (direction === undefined || direction instanceof Error) throw direction;
      return direction;
    },
    async answerRecall({ answer, command }) {
      calls.push(`${answer} ${command}`);
      return answer === 'none' ? { ok: true, outcome: 'failed' } : reply;
    },
    async cancelOutbound({ supplyOrder }) {
      calls.push(`cancel ${supplyOrder}`);
      if (calls.filter((call) => call.startsWith('cancel')).length === 1) throw unavailable('the answer was lost');
      return { cancelled: true };
    },
  };
  return { activities, calls };
}

function start() {
  const pkg = stage.id('pkg');
  return stage.client.workflow.start<typeof orderRecall>('orderRecall', {
    workflowId: orderRecallId(pkg, 1),
    taskQueue: stage.taskQueue,
    args: [{ package: pkg, attempt: 1, answerMs: 60_000 }],
    searchAttributes: { HubStatus: ['running'] },
    ...JOIN_OR_START,
  });
}
const given = { command: 'cmd_1', reason: null };
const isAsked = (handle: Awaited<ReturnType<typeof start>>) =>
  eventually(async () => expect(await detailsOf(handle)).toContain('the supplier is asked'));

test('what our documents decide ends it at once, in a few events', async () => {
  const { activities, calls } = fakes([ended('recalled')]);
  await stage.run(activities, async () => {
    const handle = await start();
    expect(await handle.result()).toBe('recalled');
    expect(calls).toEqual(['advance']);
    expect((await costOf(handle)).events).toBeLessThanOrEqual(10);
  });
});

test.each([
  ['confirm', 'recalled'],
  ['refuse', 'failed'],
] as const)('asked, the supplier’s %s ends it as %s', async (what, outcome) => {
  const { activities, calls } = fakes([asked()], { ok: true, outcome });
  await stage.run(activities, async () => {
    const handle = await start();
    await isAsked(handle);
    const update = what === 'confirm' ? messages.confirm : messages.refuse;
    expect(await handle.executeUpdate(update, { args: [given] })).toEqual({ ok: true, outcome });
    expect(await handle.result()).toBe(outcome);
    expect(calls).toEqual(['advance', `${what} cmd_1`]);
  });
});

test('an answer that is refused is a value, and the recall goes on waiting', async () => {
  const no: messages.RecallReply = {
    ok: false,
    code: 'invalid_transition',
    detail: 'not now',
    members: {},
    errors: [],
  };
  const { activities } = fakes([asked(), ended('failed')], no);
  await stage.run(activities, async () => {
    const handle = await start();
    await isAsked(handle);
    expect(await handle.executeUpdate(messages.confirm, { args: [given] })).toEqual(no);
    expect((await handle.describe()).status.name).toBe('RUNNING');
    await handle.signal(messages.settled);
    expect(await handle.result()).toBe('failed');
  });
});

test('no answer in time is a refusal', async () => {
  const { activities, calls } = fakes([asked(100)]);
  await stage.run(activities, async () => {
    expect(await (await start()).result()).toBe('failed');
    expect(calls).toEqual(['advance', 'none null']);
  });
});

test('decided elsewhere: it looks again', async () => {
  const { activities, calls } = fakes([asked(), asked(), ended('failed')]);
  await stage.run(activities, async () => {
    const handle = await start();
    await isAsked(handle);
    await handle.signal(messages.settled);
    await eventually(() => expect(calls).toEqual(['advance', 'advance']));
    await handle.signal(messages.settled);
    expect(await handle.result()).toBe('failed');
  });
});

test('a warehouse is asked until it answers, and its answer decides', async () => {
  const { activities, calls } = fakes([
    { next: 'warehouse', supplyOrder: 'sord_1', warehouse: 'wh_1' },
    ended('recalled'),
  ]);
  await stage.run(activities, async () => {
    expect(await (await start()).result()).toBe('recalled');
    expect(calls).toEqual(['advance', 'cancel sord_1', 'cancel sord_1', 'advance true']);
  });
});

test('a database that is away holds it up and no more', async () => {
  const away = unavailable();
  const { activities, calls } = fakes([away, away, away, ended('recalled')]);
  await stage.run(activities, async () => {
    expect(await (await start()).result()).toBe('recalled');
    expect(calls).toHaveLength(4);
  });
});
