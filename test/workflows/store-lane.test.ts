import { WorkflowNotFoundError } from '@temporalio/client';
import type { LanePass } from '../../activities/store-lane';
import { storeLaneId } from '../../domain/process-ids';
import { LONG_HISTORY } from '../../workflows/history';
import { JOIN_OR_START } from '../../workflows/ids';
import * as messages from '../../workflows/messages';
import type { storeLane } from '../../workflows/store-lane';
import { eventually } from '../support/hub';
import { detailsOf, type FakeActivities, openStage, type Stage, shownOf, unavailable } from './fake';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

const drained = (lastBatchAt = 1): LanePass => ({ end: 'drained', lastBatchAt });

/** Records the calls; `pass` says what the n-th pass (from 0) answers. */
function fakes(pass: (turn: number, input: { lastBatchAt: number }) => LanePass | Promise<LanePass>) {
  const calls: string[] = [];
  const passes: { at: number; lastBatchAt: number }[] = [];
  const activities: FakeActivities = {
    async sendDue(input) {
      passes.push({ at: Date.now(), lastBatchAt: input.lastBatchAt });
      calls.push('pass');
      return pass(passes.length - 1, input);
    },
    async parkLane({ code, detail }) {
      calls.push(`park ${code}: ${detail}`);
    },
    async resumeLane() {
      calls.push('resume');
    },
    async abandonLane({ code }) {
      calls.push(`abandon ${code}`);
    },
  };
  return { activities, calls, passes };
}

function wake(store: string, options: { attempts?: number } = {}) {
  return stage.client.workflow.signalWithStart<typeof storeLane, []>('storeLane', {
    workflowId: storeLaneId(store),
    taskQueue: stage.taskQueue,
    ...JOIN_OR_START,
    args: [
      {
        store,
        pacingMs: 10,
        batches: 5,
        budget: { attempts: options.attempts ?? 2, firstWaitMs: 10, longestWaitMs: 20 },
      },
    ],
    signal: messages.due,
    searchAttributes: { HubStatus: ['running'], HubStore: [store] },
  });
}
type Lane = Awaited<ReturnType<typeof wake>>;
const isParked = (handle: Lane) =>
  eventually(async () => expect(await shownOf(handle)).toEqual({ status: 'RUNNING', hubStatus: 'parked' }));
const end = (handle: Lane) => handle.terminate('test ends').catch(() => {});

describe('the lane of a store', () => {
  test('passes again while there is more, and carries the time of its last batch', async () => {
    const { activities, passes } = fakes((turn) => (turn < 3 ? { end: 'more', lastBatchAt: 100 + turn } : drained()));
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await eventually(() => expect(passes).toHaveLength(4));
      await end(handle);
    });
    expect(passes.map(({ lastBatchAt }) => lastBatchAt)).toEqual([0, 100, 101, 102]);
  });

  test('throttled, waits as told and goes on', async () => {
    const { activities, passes } = fakes((turn) =>
      turn === 0 ? { end: 'throttled', retryAfterMs: 300, lastBatchAt: 5 } : drained(),
    );
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await eventually(() => expect(passes).toHaveLength(2));
      await end(handle);
    });
    expect((passes[1]?.at ?? 0) - (passes[0]?.at ?? 0)).toBeGreaterThanOrEqual(290);
  });

  test('whose pass fails tries as often as it may, parks, and goes on after a retry', async () => {
    const { activities, calls } = fakes((turn) => {
      if (turn < 2) throw unavailable('the platform is down');
      return drained();
    });
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await isParked(handle);
      expect(await detailsOf(handle)).toMatch(/the platform is down.*retry.*abandon/);
      // What becomes due meanwhile does not move it.
      await handle.signal(messages.due);
      await handle.executeUpdate(messages.retry, { args: ['operator'] });
      await eventually(async () => expect(await shownOf(handle)).toEqual({ status: 'RUNNING', hubStatus: 'running' }));
      await eventually(() =>
        expect(calls).toEqual(['pass', 'pass', 'park unavailable: the platform is down', 'resume', 'pass']),
      );
      expect(await detailsOf(handle)).toBe('');
      await expect(handle.executeUpdate(messages.retry, { args: ['operator'] })).rejects.toThrow();
      await end(handle);
    });
  });

  test('abandoned, sets aside what was due, and takes up what comes next', async () => {
    const { activities, calls } = fakes((turn) => {
      if (turn < 2) throw unavailable();
      return drained();
    });
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await isParked(handle);
      await handle.signal(messages.abandonRequested, 'operator');
      await eventually(() =>
        expect(calls.slice(2)).toEqual(['park unavailable: MongoDB is away', 'abandon unavailable', 'pass']),
      );
      await handle.signal(messages.due);
      await eventually(() => expect(calls.slice(5)).toEqual(['pass']));
      await end(handle);
    });
  });

  test('of a store that needs its owner parks at once and says so', async () => {
    const { activities, calls } = fakes((turn) =>
      turn === 0
        ? { end: 'needs_authorization', code: 'needs_authorization', detail: 'tokens refused', lastBatchAt: 0 }
        : drained(),
    );
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await isParked(handle);
      expect(await detailsOf(handle)).toContain('must be authorised again by its owner: tokens refused');
      await handle.signal('retry');
      await eventually(() => expect(calls).toHaveLength(4));
      await end(handle);
    });
    expect(calls).toEqual(['pass', 'park needs_authorization: tokens refused', 'resume', 'pass']);
  });

  test('continues as new before its history grows long, and loses no signal that comes meanwhile', async () => {
    let more = 60;
    let signalled = 0;
    let seen = 0;
    const { activities, passes } = fakes(async () => {
      // What is due is read anew in each pass.
      seen = signalled;
      more -= 1;
      return more > 0 ? { end: 'more', lastBatchAt: 77 } : drained(77);
    });
    await stage.run(activities, async () => {
      const store = stage.id('store');
      const handle = await wake(store);
      const { runId } = await handle.describe();
      const current = stage.client.workflow.getHandle(handle.workflowId);
      await eventually(async () => {
        signalled += 1;
        await wake(store);
        expect((await current.describe()).runId).not.toBe(runId);
      });
      await eventually(() => {
        expect(more).toBeLessThanOrEqual(0);
        expect(seen).toBe(signalled);
      });
      const first = await stage.client.workflow.getHandle(handle.workflowId, runId).describe();
      expect(first.status.name).toBe('CONTINUED_AS_NEW');
      expect(first.historyLength).toBeGreaterThanOrEqual(LONG_HISTORY);
      // One pass more, with what was told meanwhile.
      expect(first.historyLength).toBeLessThan(LONG_HISTORY + 40);
      expect((await current.describe()).status.name).toBe('RUNNING');
      await current.terminate('test ends');
    });
    // The time of the last batch went along: the pace holds over the change.
    expect(passes.slice(1).every(({ lastBatchAt }) => lastBatchAt === 77)).toBe(true);
  });

  test('that is parked continues as new, too, and stays parked', async () => {
    const { activities, calls } = fakes((turn) => {
      if (turn < 2) throw unavailable();
      return drained();
    });
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('store'));
      await isParked(handle);
      const { runId } = await handle.describe();
      const current = stage.client.workflow.getHandle(handle.workflowId) as Lane;
      await eventually(async () => {
        await current.signal('due');
        expect((await current.describe()).runId).not.toBe(runId);
      });
      await isParked(current);
      await current.executeUpdate(messages.retry, { args: ['operator'] });
      await eventually(() => expect(calls.slice(-2)).toEqual(['resume', 'pass']));
      expect(calls.filter((call) => call === 'pass')).toHaveLength(3);
      await end(current);
    });
  });

  test('ends when nothing was due for a while, and the next change starts it again', async () => {
    const { activities, passes } = fakes(() => drained());
    await stage.run(activities, async () => {
      const store = stage.id('store');
      const handle = await wake(store);
      await handle.result();
      expect(passes).toHaveLength(1);
      await expect(handle.signal(messages.due)).rejects.toBeInstanceOf(WorkflowNotFoundError);
      const again = await wake(store);
      await eventually(() => expect(passes).toHaveLength(2));
      expect(again.signaledRunId).not.toBe(handle.signaledRunId);
      await end(again);
    });
  });
});
