/** What activities close over: interfaces, given by the composition root (or a test). */
import type { Logger } from '../config/logger';
import type { Notifiers } from '../connectors/notifications/port';
import type { Connectors } from '../connectors/port';
import type { Store } from '../store';
import type { NewOutboundOrder, OutboundCreation } from '../store/repositories/outbound-pushes';
import type { OutboundAnswer } from '../store/repositories/recalls';
import type { Processes } from '../workflows/client';
import type { LiveRates } from './rates';
import type { StoreAccess } from './tokens';

/** Outbound orders in warehouses that others run. Each throws what is worth another try; a refusal for good is an answer. */
export interface OutboundOrders {
  /** Creates it; one of the same supply order that is there already is the same. */
  create(order: NewOutboundOrder): Promise<OutboundCreation>;
  /** What there is of a supply order; null where there is nothing. */
  get(input: { supplyOrder: string; warehouse: string }): Promise<{ reference: string; cancelled: boolean } | null>;
  /**
   * Asks for the cancellation of what a supply order sends out there. May be asked again: where an answer was lost it
   * first finds out what there is.
   */
  cancel(input: { supplyOrder: string; warehouse: string }): Promise<OutboundAnswer>;
}

const UNCONNECTED = 'There is no connection to the operator of the warehouse';

/** No operator of warehouses is connected: nobody takes an order, and nobody can say that the goods stay. */
export const noOutboundOrders: OutboundOrders = {
  create: async () => ({ created: false, detail: UNCONNECTED }),
  get: async () => null,
  cancel: async () => ({ cancelled: false, detail: UNCONNECTED }),
};

export interface ActivityDeps {
  readonly store: Store;
  readonly processes: Processes;
  readonly access: StoreAccess;
  readonly connectors: Connectors;
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
  /** Every connected store is polled so often (0: none is), from so long before where the last poll ended. Milliseconds. */
  readonly polls: { readonly intervalMs: number; readonly overlapMs: number };
  /** Where a platform takes an order as a whole, what left waits so long for its other packages. Milliseconds. */
  readonly shipments: { readonly waitMs: number };
  /** An order the platform does not know is asked for again for this long after the last event about it. Milliseconds. */
  readonly intake: { readonly refuseAfterMs: number };
}
