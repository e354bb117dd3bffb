import { WorkflowUpdateFailedError } from '@temporalio/client';
import { orderPushId } from '../../domain/process-ids';
import { JOIN_OR_START } from '../../workflows/ids';
import * as messages from '../../workflows/messages';
import type { OrderPushInput, orderPush } from '../../workflows/order-push';
import { eventually } from '../support/hub';
import {
  costOf,
  detailsOf,
  type FakeActivities,
  openStage,
  rawHistory,
  type Stage,
  shownOf,
  unavailable,
} from './fake';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const budget = { attempts: 2, firstWaitMs: 10, longestWaitMs: 20 };

/** Records what was called; `pushes` says what each try of the transaction does. */
function fakes(pushes: (() => 'pushed' | 'refused' | 'superseded')[], options: { pushedAfterAll?: boolean } = {}) {
  const calls: string[] = [];
  let tries = 0;
  const activities: FakeActivities = {
    async pushOrder() {
      const step = pushes[Math.min(tries, pushes.length - 1)];
      tries += 1;
      calls.push('push');
      if (!step) throw new Error('no step');
      return step();
    },
    async parkOrderPush({ code, detail }) {
      calls.push(`park ${code}: ${detail}`);
    },
    async recordDecision({ actor, decision, by }) {
      calls.push(`record ${actor} ${decision} ${by}`);
    },
    async resumeOrderPush() {
      calls.push('resume');
    },
    async abandonOrderPush({ why }) {
      calls.push(`abandon ${why}`);
      return { pushed: options.pushedAfterAll ?? false };
    },
  };
  return { activities, calls, tries: () => tries };
}

async function start(input: Partial<OrderPushInput> = {}, on: Stage = stage) {
  const pkg = on.id('pkg');
  return on.client.workflow.start<typeof orderPush>('orderPush', {
    workflowId: orderPushId(pkg, 1),
    taskQueue: on.taskQueue,
    args: [{ package: pkg, attempt: 1, supplier: 'acct_1', budget, parkedMs: 60_000, ...input }],
    searchAttributes: { HubStatus: ['running'] },
    ...JOIN_OR_START,
  });
}

const fail = () => {
  throw unavailable();
};
/** The tries of a local activity and of an ordinary one, with the budget above. */
const TRIES_UNTIL_PARKED = 4;
const FAST_TRIES = 2;
const failing = (then: (() => 'pushed')[] = []) => [...Array.from({ length: TRIES_UNTIL_PARKED }, () => fail), ...then];
const parked = (handle: Awaited<ReturnType<typeof start>>) =>
  eventually(async () => expect(await shownOf(handle)).toEqual({ status: 'RUNNING', hubStatus: 'parked' }));

describe('the push of a package', () => {
  test('is done in two workflow tasks and at most 15 events', async () => {
    const { activities, calls } = fakes([() => 'pushed']);
    await stage.run(activities, async () => {
      const handle = await start();
      expect(await handle.result()).toBe('pushed');
      const cost = await costOf(handle);
      process.stdout.write(`an order push costs ${JSON.stringify(cost)}\n`);
      expect(cost.tasks).toBeLessThanOrEqual(2);
      expect(cost.events).toBeLessThanOrEqual(15);
    });
    expect(calls).toEqual(['push']);
  });

  test.each(['refused', 'superseded'] as const)('that is %s ends and holds nothing', async (outcome) => {
    const { activities, calls } = fakes([() => outcome]);
    await stage.run(activities, async () => expect(await (await start()).result()).toBe(outcome));
    expect(calls).toEqual(['push']);
  });

  test('goes on as an ordinary activity where the fast tries fail', async () => {
    const { activities, calls } = fakes([fail, fail, fail, () => 'pushed']);
    await stage.run(activities, async () => expect(await (await start()).result()).toBe('pushed'));
    expect(calls).toEqual(['push', 'push', 'push', 'push']);
  });
});

describe('a push whose tries are used up', () => {
  test('parks, is found by its search attribute, says what it waits for, and a retry by update finishes it', async () => {
    const { activities, calls } = fakes(failing([() => 'pushed']));
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      expect(await detailsOf(handle)).toMatch(/Push of pkg\S+ failed: MongoDB is away.*retry.*abandon/);
      await eventually(async () => {
        const found: string[] = [];
        for await (const { workflowId } of stage.client.workflow.list({
          query: `HubStatus = 'parked' AND WorkflowId = '${handle.workflowId}'`,
        }))
          found.push(workflowId);
        expect(found).toEqual([handle.workflowId]);
      });
      await handle.executeUpdate(messages.retry, { args: ['operator'] });
      expect(await handle.result()).toBe('pushed');
      expect(await shownOf(handle)).toEqual({ status: 'COMPLETED', hubStatus: 'running' });
    });
    expect(calls.slice(TRIES_UNTIL_PARKED)).toEqual(['park unavailable: MongoDB is away', 'resume', 'push']);
  });

  test('is retried by the signal that the Temporal UI sends, and parks again where it fails again', async () => {
    const { activities, calls } = fakes([...failing(), ...failing([() => 'pushed'])]);
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      await handle.signal(messages.retryRequested, 'operator');
      await eventually(() => expect(calls.filter((call) => call.startsWith('park'))).toHaveLength(2));
      await parked(handle);
      await handle.signal('retry');
      expect(await handle.result()).toBe('pushed');
    });
    // Written down before it is carried out; a decision that came through the API is written down there.
    const after = calls.filter((call) => /^(record|resume)/.test(call));
    expect(after).toEqual(['record temporal_ui retry operator', 'resume', 'record temporal_ui retry null', 'resume']);
  });

  test.each(['update', 'signal'] as const)('is given up by %s', async (how) => {
    const { activities, calls } = fakes([fail]);
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      if (how === 'update') await handle.executeUpdate(messages.abandon, { args: ['operator'] });
      else await handle.signal(messages.abandonRequested, 'operator');
      expect(await handle.result()).toBe('abandoned');
    });
    expect(calls.at(-1)).toBe('abandon an operator abandoned it');
  });

  test('that was done after all says so when it is abandoned', async () => {
    const { activities } = fakes([fail], { pushedAfterAll: true });
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      await handle.executeUpdate(messages.abandon, { args: ['operator'] });
      expect(await handle.result()).toBe('pushed');
    });
  });

  test('abandons itself when nobody decides in time', async () => {
    const { activities, calls } = fakes([fail]);
    await stage.run(activities, async () => expect(await (await start({ parkedMs: 50 })).result()).toBe('abandoned'));
    expect(calls.at(-1)).toBe('abandon nobody decided in time');
  });

  test('takes one decision of two that come at once', async () => {
    const { activities } = fakes(failing([() => 'pushed']));
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      const decisions = await Promise.allSettled([
        handle.executeUpdate(messages.retry, { args: ['one'] }),
        handle.executeUpdate(messages.abandon, { args: ['other'] }),
      ]);
      expect(decisions.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
      await handle.result();
    });
  });

  test('a decision on what is not parked is refused, and a signal then does nothing', async () => {
    let open: () => void = () => {};
    const gate = new Promise<void>((resolve) => {
      open = resolve;
    });
    const { activities, calls } = fakes(failing([() => 'pushed']));
    const { pushOrder } = activities;
    // Held in the first try of the ordinary activity, so that the workflow answers.
    activities.pushOrder = async (input) => {
      if (calls.length === FAST_TRIES) await gate;
      return (await pushOrder?.(input)) ?? 'superseded';
    };
    await stage.run(activities, async () => {
      const handle = await start();
      await eventually(() => expect(calls).toHaveLength(FAST_TRIES));
      await expect(handle.executeUpdate(messages.retry, { args: ['early'] })).rejects.toBeInstanceOf(
        WorkflowUpdateFailedError,
      );
      await handle.signal('abandon');
      open();
      await parked(handle);
      await handle.executeUpdate(messages.retry, { args: ['now'] });
      expect(await handle.result()).toBe('pushed');
    });
  });
});

describe('a cancelled push', () => {
  test('abandons what is held, also while it is parked', async () => {
    const { activities, calls } = fakes([fail]);
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      await handle.cancel();
      expect(await handle.result()).toBe('abandoned');
    });
    expect(calls.at(-1)).toBe('abandon the workflow was cancelled');
  });
});

test('payloads, and the words of a failure, leave the process encrypted', async () => {
  const secret = 'the-words-of-the-failure';
  const { activities } = fakes([
    () => {
      throw unavailable(secret);
    },
  ]);
  await stage.run(activities, async () => {
    const handle = await start({ parkedMs: 50 });
    await handle.result();
    const bytes = await rawHistory(stage.client, handle.workflowId);
    expect(bytes.includes('binary/encrypted')).toBe(true);
    expect(bytes.includes('Encoded failure')).toBe(true);
    for (const clear of [secret, 'parkedMs', 'nobody decided in time', 'json/plain'])
      expect([clear, bytes.includes(clear)]).toEqual([clear, clear === 'json/plain' ? expect.any(Boolean) : false]);
    // Decoded with the key, it is there.
    const { events } = await handle.fetchHistory();
    expect(events?.length).toBeGreaterThan(5);
  });
});

test('without a cache of workflows every task replays from the start, and the push still goes its way', async () => {
  const { activities, calls } = fakes(failing([() => 'pushed']));
  const uncached = await openStage({ cachedWorkflows: 0 });
  try {
    await uncached.run(activities, async () => {
      const handle = await start({}, uncached);
      await parked(handle);
      await handle.executeUpdate(messages.retry, { args: ['operator'] });
      expect(await handle.result()).toBe('pushed');
    });
  } finally {
    await uncached.close();
  }
  expect(calls.filter((call) => call === 'resume')).toHaveLength(1);
});
