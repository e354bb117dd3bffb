/** What activities close over: interfaces, given by the composition root (or a test). */
import type { Logger } from '../config/logger';
import type { Notifiers } from '../connectors/notifications/port';
import type { Store } from '../store';
import type { OutboundAnswer } from '../store/repositories/recalls';
import type { Processes } from '../workflows/client';
import type { LiveRates } from './rates';
import type { StoreAccess } from './tokens';

/** Outbound orders in warehouses that others run. */
export interface OutboundOrders {
  /**
   * Asks for the cancellation of what a supply order sends out there. May be asked again: where an answer was lost it
   * first finds out what there is. Throws what is worth another try.
   */
  cancel(input: { supplyOrder: string; warehouse: string }): Promise<OutboundAnswer>;
}

/** No operator of warehouses is connected: nobody can say that the goods stay. */
export const noOutboundOrders: OutboundOrders = {
  cancel: async () => ({ cancelled: false, detail: 'There is no connection to the operator of the warehouse' }),
};

export interface ActivityDeps {
  readonly store: Store;
  readonly processes: Processes;
  readonly access: StoreAccess;
  readonly rates: LiveRates;
  readonly notifiers: Notifiers;
  readonly outbound: OutboundOrders;
  readonly logger: Logger;
  /** Tells the server that a long step is alive, with where it is. */
  readonly heartbeat: (details?: unknown) => void;
  /** The server no longer wants this step: its process was ended, or it runs elsewhere. */
  readonly isCancelled: () => boolean;
  /** The how-manieth try of this step this is, from 1. */
  readonly attempt: () => number;
  /** What the last try of this step reported. */
  readonly lastHeartbeat: () => unknown;
  readonly sweep: {
    readonly graceMs: number;
    /** Instead of `AUDIT_UNKNOWN_AFTER_MS`. */
    readonly auditUnknownAfterMs?: number;
  };
  /** An order the platform does not know is asked for again for this long after the last event about it. Milliseconds. */
  readonly intake: { readonly refuseAfterMs: number };
}
