import { WorkflowUpdateFailedError } from '@temporalio/client';
import type { OutboundResult } from '../../activities/order-push';
import { orderPushId } from '../../domain/process-ids';
import type { OutboundAnswer } from '../../store/repositories/recalls';
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
function fakes(
  pushes: (() => 'pushed' | 'refused' | 'superseded' | 'outbound')[],
  options: { pushedAfterAll?: boolean; isOpen?: boolean } = {},
) {
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
      return options.isOpen ?? true;
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

  test('does not wait where its attempt is over already', async () => {
    const { activities, calls } = fakes([fail], { isOpen: false });
    await stage.run(activities, async () => expect(await (await start()).result()).toBe('abandoned'));
    expect(calls.slice(TRIES_UNTIL_PARKED)).toEqual([
      'park unavailable: MongoDB is away',
      'abandon an operator abandoned it',
    ]);
  });

  test('is given up by a signal that came before it was parked', async () => {
    let trying: () => void = () => {};
    const isTrying = new Promise<void>((resolve) => {
      trying = resolve;
    });
    let heard: () => void = () => {};
    const isHeard = new Promise<void>((resolve) => {
      heard = resolve;
    });
    const { activities, calls } = fakes([fail]);
    const slow: FakeActivities = {
      ...activities,
      async pushOrder(input) {
        trying();
        await isHeard;
        return activities.pushOrder?.(input) ?? 'refused';
      },
    };
    await stage.run(slow, async () => {
      const handle = await start();
      await isTrying;
      await handle.signal(messages.abandonRequested, 'recall');
      heard();
      expect(await handle.result()).toBe('abandoned');
    });
    expect(calls.slice(-3)).toEqual([
      'park unavailable: MongoDB is away',
      'record temporal_ui abandon recall',
      'abandon an operator abandoned it',
    ]);
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

  test('a decision on what is not parked is refused, and a signal to retry then does nothing', async () => {
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
      await handle.signal('retry');
      open();
      await parked(handle);
      await handle.executeUpdate(messages.retry, { args: ['now'] });
      expect(await handle.result()).toBe('pushed');
    });
  });
});

/** A push whose transaction is done, and what the operator of its warehouse then says. */
function outside(
  creations: (() => OutboundResult)[],
  options: {
    settled?: 'pushed' | 'refused' | 'withdraw';
    withdrawn?: 'abandoned' | 'pushed';
    withdrawals?: (() => OutboundAnswer)[];
    isParked?: boolean;
  } = {},
) {
  const { activities, calls } = fakes([() => 'outbound']);
  const inTurn = <T>(steps: (() => T)[]) => {
    const step = steps.length > 1 ? steps.shift() : steps[0];
    if (!step) throw new Error('no step');
    return step();
  };
  const all: FakeActivities = {
    ...activities,
    async parkOrderPush({ code }) {
      calls.push(`park ${code}`);
      return options.isParked ?? true;
    },
    async abandonOrderPush({ why }) {
      calls.push(`abandon ${why}`);
      return { pushed: false, withdraw: true };
    },
    async createOutbound() {
      calls.push('create');
      return inTurn(creations);
    },
    async settleOutbound({ answer }) {
      calls.push(`settle ${JSON.stringify(answer)}`);
      return options.settled ?? 'pushed';
    },
    async withdrawOutbound() {
      calls.push('withdraw');
      return inTurn(options.withdrawals ?? [() => ({ cancelled: true })]);
    },
    async settleWithdrawal({ answer }) {
      calls.push(`undo ${JSON.stringify(answer)}`);
      return options.withdrawn ?? 'abandoned';
    },
  };
  return { activities: all, calls };
}
const created = () => ({ created: true, reference: 'OUT-1' }) as const;

describe('a push into a warehouse that others run', () => {
  test('is pushed once its operator took the outbound order, tried again while it does not answer', async () => {
    const { activities, calls } = outside([fail, created]);
    await stage.run(activities, async () => {
      const handle = await start();
      expect(await handle.result()).toBe('pushed');
      process.stdout.write(`a push into a 3PL's warehouse costs ${JSON.stringify(await costOf(handle))}\n`);
      expect((await costOf(handle)).events).toBeLessThanOrEqual(20);
    });
    expect(calls).toEqual(['push', 'create', 'create', 'settle {"created":true,"reference":"OUT-1"}']);
  });

  test('is refused in its operator’s words', async () => {
    const { activities, calls } = outside([() => ({ created: false, detail: '50026: not enough' })], {
      settled: 'refused',
    });
    await stage.run(activities, async () => expect(await (await start()).result()).toBe('refused'));
    expect(calls.at(-1)).toBe('settle {"created":false,"detail":"50026: not enough"}');
  });

  test('parks when it does not answer, and a retry goes on with the same attempt', async () => {
    const { activities, calls } = outside([fail, fail, created]);
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      await handle.executeUpdate(messages.retry, { args: ['operator'] });
      expect(await handle.result()).toBe('pushed');
    });
    expect(calls.slice(2)).toEqual([
      ...['create', 'park unavailable', 'resume', 'push', 'create'],
      'settle {"created":true,"reference":"OUT-1"}',
    ]);
  });

  test('is cancelled there before it is undone, asked for until it answers; what is kept there is pushed', async () => {
    for (const [answer, end] of [
      [{ cancelled: true }, 'abandoned'],
      [{ cancelled: false, detail: 'picked' }, 'pushed'],
    ] as const) {
      const { activities, calls } = outside([fail], { withdrawals: [fail, () => answer], withdrawn: end });
      await stage.run(activities, async () => {
        const handle = await start();
        await parked(handle);
        await handle.signal('abandon');
        expect(await handle.result()).toBe(end);
      });
      expect(calls.slice(-4)).toEqual([
        ...['abandon an operator abandoned it', 'withdraw', 'withdraw'],
        `undo ${JSON.stringify(answer)}`,
      ]);
    }
  });

  test('is withdrawn, not parked, where a recall came first; one that was over says how it ended', async () => {
    const first = outside([fail], { isParked: false });
    await stage.run(first.activities, async () => expect(await (await start()).result()).toBe('abandoned'));
    expect(first.calls.slice(-2)).toEqual(['withdraw', 'undo {"cancelled":true}']);
    for (const [creations, settled] of [
      [[() => ({ withdraw: true as const })], 'pushed'],
      [[created], 'withdraw'],
    ] as const) {
      const { activities, calls } = outside([...creations], { settled });
      await stage.run(activities, async () => expect(await (await start()).result()).toBe('abandoned'));
      expect(calls.slice(-2)).toEqual(['withdraw', 'undo {"cancelled":true}']);
    }
    const { activities, calls } = outside([() => ({ over: 'superseded' })]);
    await stage.run(activities, async () => expect(await (await start()).result()).toBe('superseded'));
    expect(calls).toEqual(['push', 'create']);
  });

  test('that is cancelled as a workflow is withdrawn', async () => {
    const { activities, calls } = outside([fail]);
    await stage.run(activities, async () => {
      const handle = await start();
      await parked(handle);
      await handle.cancel();
      expect(await handle.result()).toBe('abandoned');
    });
    expect(calls.slice(-3)).toEqual(['abandon the workflow was cancelled', 'withdraw', 'undo {"cancelled":true}']);
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
