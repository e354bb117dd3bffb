/** Order intake, partnership, the mirror's lane, publication, download, sweep. */
import { randomUUID } from 'node:crypto';
import { ApplicationFailure } from '@temporalio/common';
import { canMove, PARTNERSHIP_MOVES, type PartnershipCommand, type PartnershipStatus } from '../../domain/partnership';
import { mirrorLaneId, processId } from '../../domain/process-ids';
import { JOIN_OR_START } from '../../workflows/ids';
import type { listingDownload } from '../../workflows/listing-download';
import type { DecisionAnswer } from '../../workflows/messages';
import * as messages from '../../workflows/messages';
import type { mirrorLane } from '../../workflows/mirror-lane';
import type { orderIntake } from '../../workflows/order-intake';
import type { partnership } from '../../workflows/partnership';
import type { productPublication } from '../../workflows/product-publication';
import type { supplierSetup } from '../../workflows/supplier-setup';
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
  const FAR_MS = 3_600_000;
  const start = (id: string, remindAfterMs = FAR_MS) =>
    stage.client.workflow.start<typeof partnership>('partnership', {
      workflowId: processId('partnership', { partnership: id }),
      taskQueue: stage.taskQueue,
      ...JOIN_OR_START,
      args: [{ partnership: id, remindAfterMs }],
    });
  const command = (name: string) => ({ party: 'acct_1', command: name });
  const approval = (name: string, padding = ''): PartnershipCommand => ({
    ...command(name),
    move: 'approve',
    approval: {
      customer: { name: `Customer${padding}` },
      settlementCurrency: 'MYR',
      level: null,
      warehouses: ['wh_1'],
      creditLimit: null,
      creditPeriodDays: null,
    },
  });
  const refusal = (status: string): DecisionAnswer => ({
    ok: false,
    code: 'invalid_transition',
    detail: `The partnership is ${status}`,
    members: { status },
    errors: [],
  });
  /** Decides as the store does, by the state table; a repeated command is answered alike. */
  function fakes(appliedAt = Date.now()) {
    let status: PartnershipStatus = 'pending_review';
    let last = '';
    const told: string[] = [];
    const activities: FakeActivities = {
      partnershipState: async () => ({ status, appliedAt }),
      async remindOfApplication({ partnership: id }) {
        told.push(id);
      },
      async movePartnership({ command: { command: name, move } }) {
        if (last === name) return { ok: true, status };
        if (!canMove(status, move)) return refusal(status);
        status = PARTNERSHIP_MOVES[move].to;
        last = name;
        return { ok: true, status };
      },
    };
    return { activities, told };
  }

  test('decided by two at once has one winner; the other is told', async () => {
    await stage.run(fakes().activities, async () => {
      const handle = await start(stage.id('pship'));
      expect(await handle.query(messages.state)).toEqual({
        phase: 'pending_review',
        waitsFor: 'the supplier’s decision',
      });
      const answers = await Promise.all([
        handle.executeUpdate(messages.approve, { args: [approval('one')] }),
        handle.executeUpdate(messages.approve, { args: [approval('other')] }),
      ]);
      expect(answers.filter(({ ok }) => ok)).toHaveLength(1);
      expect(answers.find(({ ok }) => !ok)).toMatchObject({ code: 'invalid_transition' });
      await handle.terminate('test ends').catch(() => {});
    });
  });

  test.each(['reject', 'withdraw'] as const)('ends with %s', async (move) => {
    await stage.run(fakes().activities, async () => {
      const handle = await start(stage.id('pship'));
      const given = { ...command('one'), move, reason: null } as PartnershipCommand;
      expect(await handle.executeUpdate(messages.PARTNERSHIP_UPDATES[move], { args: [given] })).toMatchObject({
        ok: true,
      });
      await handle.result();
    });
  });

  test('is approved, changed and terminated; then it ends', async () => {
    await stage.run(fakes().activities, async () => {
      const handle = await start(stage.id('pship'));
      await handle.executeUpdate(messages.approve, { args: [approval('one')] });
      const terms: PartnershipCommand = { ...command('two'), move: 'changeTerms', terms: { warehouses: ['wh_2'] } };
      expect(await handle.executeUpdate(messages.changeTerms, { args: [terms] })).toEqual({
        ok: true,
        status: 'partnered',
      });
      expect(await handle.query(messages.state)).toEqual({ phase: 'partnered', waitsFor: null });
      const end: PartnershipCommand = { ...command('three'), move: 'terminate', reason: 'over' };
      expect(await handle.executeUpdate(messages.terminate, { args: [end] })).toEqual({
        ok: true,
        status: 'terminated',
      });
      await handle.result();
    });
  });

  test('that nobody decides reminds the supplier once and waits on', async () => {
    const { activities, told } = fakes();
    await stage.run(activities, async () => {
      const id = stage.id('pship');
      const handle = await start(id, 50);
      await eventually(() => expect(told).toEqual([id]));
      await handle.executeUpdate(messages.approve, { args: [approval('one')] });
      expect(await handle.query(messages.state)).toMatchObject({ phase: 'partnered' });
      await handle.terminate('test ends');
    });
    expect(told).toHaveLength(1);
  });

  test('that is decided in time reminds nobody', async () => {
    const { activities, told } = fakes();
    await stage.run(activities, async () => {
      const handle = await start(stage.id('pship'), 5_000);
      await handle.executeUpdate(messages.reject, { args: [{ ...command('one'), move: 'reject', reason: null }] });
      await handle.result();
    });
    expect(told).toEqual([]);
  });

  test('whose approval fails for want of the database is answered once that is back', async () => {
    let tries = 0;
    const { activities } = fakes();
    const whenBack: FakeActivities = {
      ...activities,
      async movePartnership(input) {
        tries += 1;
        if (tries <= 2) throw unavailable();
        return (await activities.movePartnership?.(input)) as DecisionAnswer;
      },
    };
    await stage.run(whenBack, async () => {
      const handle = await start(stage.id('pship'));
      expect(await handle.executeUpdate(messages.approve, { args: [approval('one')] })).toMatchObject({ ok: true });
      await handle.terminate('test ends');
    });
    expect(tries).toBe(3);
  });

  test('continues as new without losing a message, and remembers that it was approved', async () => {
    await stage.run(fakes().activities, async () => {
      const id = stage.id('pship');
      const handle = await start(id);
      await handle.executeUpdate(messages.approve, { args: [approval('one')] });
      const current = stage.client.workflow.getHandle<typeof partnership>(handle.workflowId);
      const { runId } = await current.describe();
      let answered = 0;
      await eventually(async () => {
        // Sent while it may be on its way to a new run: each is answered, none is lost.
        const answers = await Promise.all(
          Array.from({ length: 3 }, () =>
            current.executeUpdate(messages.approve, {
              args: [approval('one', 'x'.repeat(900_000))],
              updateId: randomUUID(),
            }),
          ),
        );
        answered += answers.filter(({ ok }) => ok).length;
        expect((await current.describe()).runId).not.toBe(runId);
      });
      expect(answered % 3).toBe(0);
      await eventually(async () => expect(await current.query(messages.state)).toMatchObject({ phase: 'partnered' }));
      await current.terminate('test ends');
    });
  });
});

describe('a supplier’s set-up', () => {
  const start = (supplier: string, remindAfterMs: readonly number[]) =>
    stage.client.workflow.start<typeof supplierSetup>('supplierSetup', {
      workflowId: processId('supplier-setup', { supplier }),
      taskQueue: stage.taskQueue,
      ...JOIN_OR_START,
      args: [{ supplier, remindAfterMs }],
    });

  test('reminds twice, takes steps at any time, and ends when it is live', async () => {
    const reminders: number[] = [];
    const activatedAt = Date.now();
    const done = new Set<string>();
    const activities: FakeActivities = {
      setupState: async () => ({ live: false, activatedAt }),
      async remindOfSetup({ reminder }) {
        reminders.push(reminder);
      },
      async completeSetupStep({ command }) {
        if (command.step === 'pricing' && !done.has('products'))
          return { ok: false, code: 'setup_incomplete', detail: 'no products', members: {}, errors: [] };
        done.add(command.step);
        return { ok: true, live: done.size === 2 };
      },
    };
    await stage.run(activities, async () => {
      const handle = await start(stage.id('acct'), [30, 60]);
      expect(await handle.executeUpdate(messages.completeStep, { args: [{ step: 'pricing' }] })).toMatchObject({
        code: 'setup_incomplete',
      });
      await eventually(() => expect(reminders).toEqual([1, 2]));
      await handle.executeUpdate(messages.completeStep, { args: [{ step: 'products' }] });
      expect(await handle.executeUpdate(messages.completeStep, { args: [{ step: 'pricing' }] })).toEqual({
        ok: true,
        live: true,
      });
      await handle.result();
    });
    expect(reminders).toEqual([1, 2]);
  });

  test('that is live before the reminders are due reminds nobody', async () => {
    const reminders: number[] = [];
    const activities: FakeActivities = {
      setupState: async () => ({ live: false, activatedAt: Date.now() }),
      async remindOfSetup({ reminder }) {
        reminders.push(reminder);
      },
      completeSetupStep: async () => ({ ok: true, live: true }),
    };
    await stage.run(activities, async () => {
      const handle = await start(stage.id('acct'), [5_000, 6_000]);
      await handle.executeUpdate(messages.completeStep, { args: [{ step: 'products' }] });
      await handle.result();
    });
    expect(reminders).toEqual([]);
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
