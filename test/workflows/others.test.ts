/** Order intake, partnership, the mirror's lane, publication, download, sweep. */
import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { mirrorLaneId, processId } from '../../domain/process-ids';
import { JOIN_OR_START } from '../../workflows/ids';
import type { listingDownload } from '../../workflows/listing-download';
import * as messages from '../../workflows/messages';
import type { mirrorLane } from '../../workflows/mirror-lane';
import type { orderIntake } from '../../workflows/order-intake';
import type { partnership } from '../../workflows/partnership';
import type { productPublication } from '../../workflows/product-publication';
import type { sweep } from '../../workflows/sweep';
import { eventually } from '../support/hub';
import { costOf, type FakeActivities, openStage, type Stage, unavailable } from './fake';

let stage: Stage;
beforeAll(async () => {
  stage = await openStage();
});
afterAll(() => stage.close());

/** Opens by hand. */
function gate() {
  let open: () => void = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { opened, open };
}

describe('an order’s intake', () => {
  const takeIn = (platformOrder: string) =>
    stage.client.workflow.signalWithStart<typeof orderIntake, []>('orderIntake', {
      workflowId: processId('order-intake', { store: 'store_1', platformOrder }),
      taskQueue: stage.taskQueue,
      ...JOIN_OR_START,
      args: [{ store: 'store_1', platformOrder }],
      signal: messages.eventReceived,
    });

  test('covers ten signals that come during a fetch with one more fetch', async () => {
    const first = gate();
    let fetches = 0;
    const activities: FakeActivities = {
      async takeInOrder() {
        fetches += 1;
        if (fetches === 1) await first.opened;
        return { outcome: 'synced' };
      },
    };
    await stage.run(activities, async () => {
      const platformOrder = stage.id('order');
      const handle = await takeIn(platformOrder);
      await eventually(() => expect(fetches).toBe(1));
      await Promise.all(Array.from({ length: 10 }, () => takeIn(platformOrder)));
      first.open();
      await handle.result();
    });
    expect(fetches).toBe(2);
  });

  test('of ten signals at once is one workflow', async () => {
    let fetches = 0;
    const takeInOrder = async () => {
      fetches += 1;
      return { outcome: 'synced' };
    };
    await stage.run({ takeInOrder }, async () => {
      const platformOrder = stage.id('order');
      const handles = await Promise.all(Array.from({ length: 10 }, () => takeIn(platformOrder)));
      await Promise.all(handles.map((handle) => handle.result()));
      expect(new Set(handles.map(({ signaledRunId }) => signaledRunId)).size).toBeLessThanOrEqual(2);
    });
    expect(fetches).toBeLessThanOrEqual(3);
  });

  test('is tried again until the platform answers', async () => {
    let fetches = 0;
    const activities: FakeActivities = {
      async takeInOrder() {
        fetches += 1;
        if (fetches === 1)
          throw ApplicationFailure.create({ type: 'platform_unavailable', message: 'down', nextRetryDelay: 10 });
        return { outcome: 'synced' };
      },
    };
    await stage.run(activities, async () => (await takeIn(stage.id('order'))).result());
    expect(fetches).toBe(2);
  });
});

describe('a partnership', () => {
  const start = (id: string) =>
    stage.client.workflow.start<typeof partnership>('partnership', {
      workflowId: processId('partnership', { partnership: id }),
      taskQueue: stage.taskQueue,
      ...JOIN_OR_START,
      args: [{ partnership: id, status: 'pending_review' }],
    });
  const approval = (command: string, padding = '') => ({
    supplier: 'acct_1',
    command,
    customer: { name: `Customer${padding}` },
    settlementCurrency: 'MYR',
    level: null,
    warehouses: ['wh_1'],
    creditLimit: null,
    creditPeriodDays: null,
  });
  /** Decides as the store does: the first command wins, its repeat is answered alike. */
  function fakes() {
    let decision: string | null = null;
    const activities: FakeActivities = {
      async approvePartnership({ command }) {
        decision ??= command;
        return decision === command
          ? { ok: true, status: 'partnered' }
          : { ok: false, code: 'invalid_transition', detail: 'The partnership is partnered', members: {}, errors: [] };
      },
    };
    return activities;
  }

  test('approved by two at once has one winner; the other is told', async () => {
    await stage.run(fakes(), async () => {
      const handle = await start(stage.id('pship'));
      expect(await handle.query(messages.state)).toEqual({
        phase: 'pending_review',
        waitsFor: 'the supplier’s decision',
      });
      const answers = await Promise.all(
        ['one', 'other'].map((command) => handle.executeUpdate(messages.approve, { args: [approval(command)] })),
      );
      expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
      expect(answers.find(({ ok }) => !ok)).toMatchObject({ code: 'invalid_transition' });
      expect(await handle.query(messages.state)).toEqual({ phase: 'partnered', waitsFor: null });
      await handle.terminate('test ends');
    });
  });

  test('whose approval fails for want of the database is answered once that is back', async () => {
    let tries = 0;
    const { approvePartnership } = fakes();
    const activities: FakeActivities = {
      async approvePartnership(input) {
        tries += 1;
        if (tries <= 2) throw unavailable();
        if (!approvePartnership) throw new Error('missing');
        return approvePartnership(input);
      },
    };
    await stage.run(activities, async () => {
      const handle = await start(stage.id('pship'));
      expect(await handle.executeUpdate(messages.approve, { args: [approval('one')] })).toMatchObject({ ok: true });
      await handle.terminate('test ends');
    });
    expect(tries).toBe(3);
  });

  test('continues as new and remembers that it was approved', async () => {
    await stage.run(fakes(), async () => {
      const id = stage.id('pship');
      const handle = await start(id);
      await handle.executeUpdate(messages.approve, { args: [approval('one')] });
      const current = stage.client.workflow.getHandle<typeof partnership>(handle.workflowId);
      const { runId } = await current.describe();
      await eventually(async () => {
        await current.executeUpdate(messages.approve, {
          args: [approval('one', 'x'.repeat(900_000))],
          updateId: randomUUID(),
        });
        expect((await current.describe()).runId).not.toBe(runId);
      });
      expect(await current.query(messages.state)).toMatchObject({ phase: 'partnered' });
      await current.terminate('test ends');
    });
  });
});

describe('the lane of a mirror', () => {
  const wake = (id: string) =>
    stage.client.workflow.signalWithStart<typeof mirrorLane, []>('mirrorLane', {
      workflowId: mirrorLaneId(id),
      taskQueue: stage.taskQueue,
      ...JOIN_OR_START,
      args: [{ partnership: id }],
      signal: messages.due,
    });

  test('passes while there is more, then for every signal', async () => {
    let passes = 0;
    const activities: FakeActivities = {
      async mirrorDue() {
        passes += 1;
        return { more: passes < 3 };
      },
    };
    await stage.run(activities, async () => {
      const id = stage.id('pship');
      const handle = await wake(id);
      await eventually(() => expect(passes).toBe(3));
      await wake(id);
      await eventually(() => expect(passes).toBe(4));
      await handle.terminate('test ends');
    });
  });

  test('is tried until the database is back', async () => {
    let passes = 0;
    const activities: FakeActivities = {
      async mirrorDue() {
        passes += 1;
        if (passes < 4) throw unavailable();
        return { more: false };
      },
    };
    await stage.run(activities, async () => {
      const handle = await wake(stage.id('pship'));
      await eventually(() => expect(passes).toBe(4));
      await handle.terminate('test ends');
    });
  });
});

describe('the short ones', () => {
  test('a publication is done in two workflow tasks at most', async () => {
    let published = 0;
    const activities: FakeActivities = {
      async publishProduct() {
        published += 1;
      },
    };
    await stage.run(activities, async () => {
      const handle = await stage.client.workflow.start<typeof productPublication>('productPublication', {
        workflowId: processId('publication', { supplier: stage.id('acct'), sku: 'A/1', attempt: '1' }),
        taskQueue: stage.taskQueue,
        args: [{ supplier: 'acct_1', sku: 'A/1', attempt: 1 }],
      });
      await handle.result();
      expect((await costOf(handle)).tasks).toBeLessThanOrEqual(2);
    });
    expect(published).toBe(1);
  });

  test('a download that is refused ends as failed, with the platform’s words', async () => {
    const failed: unknown[] = [];
    const activities: FakeActivities = {
      async downloadListings() {
        throw ApplicationFailure.nonRetryable('shopee error_auth: no such shop', 'platform_rejected');
      },
      async failDownload(input) {
        failed.push(input);
      },
    };
    const input = { account: 'acct_1', store: stage.id('store'), job: 'job_1' };
    await stage.run(activities, async () =>
      stage.client.workflow.execute<typeof listingDownload>('listingDownload', {
        workflowId: processId('listing-download', input),
        taskQueue: stage.taskQueue,
        args: [input],
      }),
    );
    expect(failed).toEqual([{ ...input, code: 'platform_rejected', detail: 'shopee error_auth: no such shop' }]);
  });

  test('a sweep that fails leaves it to the next one', async () => {
    let sweeps = 0;
    const activities: FakeActivities = {
      async sweepOnce() {
        sweeps += 1;
        throw unavailable();
      },
    };
    await stage.run(activities, async () => {
      await expect(
        stage.client.workflow.execute<typeof sweep>('sweep', {
          workflowId: stage.id('sweep'),
          taskQueue: stage.taskQueue,
          args: [],
        }),
      ).rejects.toThrow();
    });
    expect(sweeps).toBe(1);
  });
});
