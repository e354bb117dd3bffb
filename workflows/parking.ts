/** Parking: a process whose tries are used up stands in the Temporal UI, says what it waits for, and takes retry and abandon. */
import {
  condition,
  patched,
  setCurrentDetails,
  setHandler,
  upsertSearchAttributes,
  uuid4,
  workflowInfo,
} from '@temporalio/workflow';
import { abandon, abandonRequested, retry, retryRequested } from './messages';
import { store } from './proxies';

export type Decision = 'retry' | 'abandon';

export interface Parking {
  /**
   * Waits for an operator. @returns what they decided, or null when nobody did in time
   * @param details one line for operators: what failed, what it waits for, what they can do
   * @param options.onParked writes down that it is parked; `false`: what it is about is over, so it is given up at once
   */
  wait(
    details: string,
    options: { onParked: () => Promise<unknown>; forMs?: number; orUntil?: () => boolean },
  ): Promise<Decision | null>;
}

/** Installs the four handlers. Call it once, first thing in a workflow. */
export function installParking(): Parking {
  let parked = false;
  let decision: Decision | null = null;
  /** Who decided by a signal; an update comes from the API, which records its callers. */
  let signalled: { readonly by: unknown } | null = null;
  /** Given up by a signal that came before it was parked: the next wait ends with it. */
  let early: { readonly by: unknown } | null = null;
  const decide = (made: Decision) => {
    if (!parked || decision !== null) return false;
    decision = made;
    return true;
  };
  const decideBySignal = (made: Decision, by: unknown) => {
    if (decide(made)) signalled = { by };
    else if (!parked && made === 'abandon') early = { by };
  };
  /** Into the audit log before it is carried out, so that no decision is without a trace. */
  const record = async (actor: 'temporal_ui' | 'hub', made: Decision, by: unknown) => {
    // Histories of before recorded nothing.
    if (!patched('audited-decisions')) return;
    const name = typeof by === 'string' ? by.slice(0, 100) : null;
    await store.recordDecision({ workflowId: workflowInfo().workflowId, id: uuid4(), decision: made, actor, by: name });
  };
  const mustBeParked = (_by: string): void => {
    if (!parked || decision !== null) throw new Error('operation_not_parked');
  };
  setHandler(retry, (_by: string) => void decide('retry'), {
    validator: mustBeParked,
    description: 'Try again what is parked',
  });
  setHandler(abandon, (_by: string) => void decide('abandon'), {
    validator: mustBeParked,
    description: 'Give up what is parked',
  });
  setHandler(retryRequested, (by) => decideBySignal('retry', by), {
    description: 'Try again what is parked (from the Temporal UI)',
  });
  setHandler(abandonRequested, (by) => decideBySignal('abandon', by), {
    description: 'Give up what is parked (from the Temporal UI)',
  });
  return {
    async wait(details, { onParked, forMs, orUntil }) {
      parked = true;
      decision = null;
      signalled = null;
      upsertSearchAttributes({ HubStatus: ['parked'] });
      setCurrentDetails(details);
      // Decisions are taken from here on, so that whoever reads that it is parked can decide at once.
      const isOver = (await onParked()) === false;
      if (early !== null && decide('abandon')) signalled = early;
      early = null;
      if (isOver) decide('abandon');
      const ready = () => decision !== null || (orUntil?.() ?? false);
      let isInTime = true;
      if (forMs === undefined) await condition(ready);
      else isInTime = await condition(ready, forMs);
      parked = false;
      upsertSearchAttributes({ HubStatus: ['running'] });
      setCurrentDetails('');
      const { made, heard } = { made: decision as Decision | null, heard: signalled as { by: unknown } | null };
      if (made !== null && heard !== null) await record('temporal_ui', made, heard.by);
      if (!isInTime && made === null) await record('hub', 'abandon', null);
      return made;
    },
  };
}
