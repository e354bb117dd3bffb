/** Parking: a process whose tries are used up stands in the Temporal UI, says what it waits for, and takes retry and abandon. */
import { condition, setCurrentDetails, setHandler, upsertSearchAttributes } from '@temporalio/workflow';
import { abandon, abandonRequested, retry, retryRequested } from './messages';

export type Decision = 'retry' | 'abandon';

export interface Parking {
  /**
   * Waits for an operator. @returns what they decided, or null when nobody did in time
   * @param details one line for operators: what failed, what it waits for, what they can do
   * @param options.onParked writes down that it is parked
   */
  wait(
    details: string,
    options: { onParked: () => Promise<void>; forMs?: number; orUntil?: () => boolean },
  ): Promise<Decision | null>;
}

/** Installs the four handlers. Call it once, first thing in a workflow. */
export function installParking(): Parking {
  let parked = false;
  let decision: Decision | null = null;
  const decide = (made: Decision) => {
    if (parked && decision === null) decision = made;
  };
  const mustBeParked = (_by: string): void => {
    if (!parked || decision !== null) throw new Error('operation_not_parked');
  };
  setHandler(retry, (_by: string) => decide('retry'), {
    validator: mustBeParked,
    description: 'Try again what is parked',
  });
  setHandler(abandon, (_by: string) => decide('abandon'), {
    validator: mustBeParked,
    description: 'Give up what is parked',
  });
  setHandler(retryRequested, () => decide('retry'), { description: 'Try again what is parked (from the Temporal UI)' });
  setHandler(abandonRequested, () => decide('abandon'), {
    description: 'Give up what is parked (from the Temporal UI)',
  });
  return {
    async wait(details, { onParked, forMs, orUntil }) {
      parked = true;
      decision = null;
      upsertSearchAttributes({ HubStatus: ['parked'] });
      setCurrentDetails(details);
      // Decisions are taken from here on, so that whoever reads that it is parked can decide at once.
      await onParked();
      const ready = () => decision !== null || (orUntil?.() ?? false);
      if (forMs === undefined) await condition(ready);
      else await condition(ready, forMs);
      parked = false;
      upsertSearchAttributes({ HubStatus: ['running'] });
      setCurrentDetails('');
      return decision;
    },
  };
}
