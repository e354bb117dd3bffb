/**
 * Ids of the long processes (they are Temporal workflow ids), built here and taken apart here and nowhere else. Their
 * reuse and conflict policies stand in `workflows/ids.ts`.
 */

/** Each kind of process and the parts its id is made of. */
export const PROCESSES = {
  'order-intake': ['store', 'platformOrder'],
  'order-cancel': ['order', 'attempt'],
  'order-poll': ['store'],
  'order-push': ['package', 'attempt'],
  'order-recall': ['package', 'attempt'],
  'supply-order': ['package'],
  'store-lane': ['store'],
  'stock-push': ['job'],
  'mirror-lane': ['partnership'],
  'claim-lane': ['supplier'],
  partnership: ['partnership'],
  'supplier-setup': ['supplier'],
  publication: ['supplier', 'sku', 'attempt'],
  'listing-download': ['store', 'job'],
  'notification-delivery': ['delivery'],
  import: ['import'],
  'import-undo': ['import'],
  'bulk-operation': ['bulk'],
  'billing-verification': ['verification'],
  sweep: ['hub'],
} as const;
export type ProcessKind = keyof typeof PROCESSES;
export type ProcessParts<Kind extends ProcessKind> = Record<(typeof PROCESSES)[Kind][number], string>;
export type ProcessId = string;

/** `order-push/pkg_01…/1`. Parts are escaped, so that a platform's order number with a slash can't build another id. */
export function processId<Kind extends ProcessKind>(kind: Kind, parts: ProcessParts<Kind>): ProcessId {
  const values = PROCESSES[kind].map((name) => encodeURIComponent((parts as Record<string, string>)[name] ?? ''));
  return [kind, ...values].join('/');
}

/** The inverse of `processId`; null for an id that is none of ours. */
export function parseProcessId(id: string): { kind: ProcessKind; parts: Record<string, string> } | null {
  const [kind, ...values] = id.split('/');
  if (kind === undefined || !Object.hasOwn(PROCESSES, kind)) return null;
  const names = PROCESSES[kind as ProcessKind];
  if (names.length !== values.length) return null;
  try {
    return {
      kind: kind as ProcessKind,
      parts: Object.fromEntries(names.map((name, index) => [name, decodeURIComponent(values[index] ?? '')])),
    };
  } catch {
    return null; // A broken escape: never built here.
  }
}

export const storeLaneId = (store: string): ProcessId => processId('store-lane', { store });
export const mirrorLaneId = (partnership: string): ProcessId => processId('mirror-lane', { partnership });
export const claimLaneId = (supplier: string): ProcessId => processId('claim-lane', { supplier });
export const orderCancelId = (order: string, attempt: number): ProcessId =>
  processId('order-cancel', { order, attempt: String(attempt) });
export const orderPollId = (store: string): ProcessId => processId('order-poll', { store });
export const orderPushId = (pkg: string, attempt: number): ProcessId =>
  processId('order-push', { package: pkg, attempt: String(attempt) });
export const deliveryProcessId = (delivery: string): ProcessId => processId('notification-delivery', { delivery });
export const orderRecallId = (pkg: string, attempt: number): ProcessId =>
  processId('order-recall', { package: pkg, attempt: String(attempt) });
export const stockPushId = (job: string): ProcessId => processId('stock-push', { job });
export const billingVerificationId = (verification: string): ProcessId =>
  processId('billing-verification', { verification });
export const bulkOperationId = (bulk: string): ProcessId => processId('bulk-operation', { bulk });
export const supplyOrderProcessId = (pkg: string): ProcessId => processId('supply-order', { package: pkg });

/** An operation's id is its process id in a form that stands in a URL's path. */
export const operationIdOf = (id: ProcessId): string => id.replaceAll('/', '.');
