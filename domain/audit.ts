/** The audit log's words: what a row says, how an action is named, and what of an object may stand in it. */
import { isHidden, REDACTED, redactSecrets } from './redaction';

/** The longest text that a row keeps of an object. */
const AUDIT_OBJECT_MOST = 16_000;
const MOST_ITEMS = 100;
const MOST_DEPTH = 8;
const MOST_TEXT = 500;

export const ACTOR_KINDS = ['api_key', 'platform', 'temporal_ui', 'link', 'hub'] as const;
/**
 * Who did it: a key of an account, the platform's administrator, somebody at the Temporal UI, whoever followed a single-use
 * link, or the hub by itself.
 */
export interface AuditActor {
  readonly kind: (typeof ACTOR_KINDS)[number];
  /** The API key's id. */
  readonly id: string | null;
  /** The API key's name; for `temporal_ui` what the person gave as theirs, which nobody checked. */
  readonly name: string | null;
}

/**
 * `done`; `refused`: nothing was changed; `failed`: an error of ours or of a neighbour, see the object; `unknown`: the
 * process ended before it could say.
 */
export const AUDIT_OUTCOMES = ['done', 'refused', 'failed', 'unknown'] as const;
export type AuditOutcome = (typeof AUDIT_OUTCOMES)[number];

/** What is known before it is done. */
export interface AuditIntent {
  /** `aud_…`, or a text made from what it is about, so that a repeat is told. */
  readonly id: string;
  /** When it was asked for; epoch ms. */
  readonly at: number;
  /** Whose log it belongs to; null is the platform's alone. */
  readonly account: string | null;
  readonly actor: AuditActor;
  /** A stable name, e.g. `supplier.distributors.approve`. */
  readonly action: string;
  /** Method and template of the route, or the message of a workflow. */
  readonly route: string;
  readonly objects: readonly string[];
  readonly request: string | null;
  readonly command: string | null;
  /** The network address it came from. */
  readonly address: string | null;
  /** JSON, redacted by `auditText`. */
  readonly before: string | null;
}

export interface AuditEntry extends AuditIntent {
  readonly outcome: AuditOutcome;
  /** The answer's HTTP status. */
  readonly status: number | null;
  /** The failure's code. */
  readonly code: string | null;
  readonly after: string | null;
}

/** Parts of field names that are personal here, beyond those that logs hide. */
const PERSONAL_PARTS = ['email', 'phone', 'address', 'contact', 'recipient', 'buyer'];
/** Addresses that are called carry secrets of their own; notes are written by people about people. */
const HIDDEN_NAMES = new Set(['url', 'endpoint', 'notes']);

function isHiddenHere(name: string): boolean {
  const plain = name.toLowerCase().replace(/[_-]/g, '');
  return isHidden(name) || HIDDEN_NAMES.has(plain) || PERSONAL_PARTS.some((part) => plain.includes(part));
}

function plainOf(value: unknown, depth: number): unknown {
  if (typeof value === 'string')
    return redactSecrets(value.length > MOST_TEXT ? `${value.slice(0, MOST_TEXT)}…` : value);
  if (typeof value !== 'object' || value === null) return value;
  if (value instanceof Date) return value.toISOString();
  if (depth >= MOST_DEPTH) return '[too deep]';
  if (Array.isArray(value)) {
    const items = value.slice(0, MOST_ITEMS).map((item) => plainOf(item, depth + 1));
    return value.length > MOST_ITEMS ? [...items, `… ${value.length - MOST_ITEMS} more`] : items;
  }
  return Object.fromEntries(
    Object.entries(value)
      .slice(0, MOST_ITEMS)
      .map(([name, item]) => [
        name,
        item !== null && item !== undefined && isHiddenHere(name) ? REDACTED : plainOf(item, depth + 1),
      ]),
  );
}

/** An object as a row may keep it: JSON without secrets and personal data, bounded; null where there is nothing. */
export function auditText(value: unknown): string | null {
  if (value === null || value === undefined) return null;
  const text = JSON.stringify(plainOf(value, 0));
  return text.length > AUDIT_OBJECT_MOST ? JSON.stringify({ tooLong: text.length }) : text;
}

const SUFFIXES: Readonly<Record<string, string>> = { put: 'set', patch: 'change', delete: 'remove' };

/**
 * The stable name of what a route does, from its method and template: `PATCH /v1/push-rules/{id}` is `push-rules.change`,
 * `POST /v1/orders/{id}/push` is `orders.push`, `POST /v1/skus` is `skus.create`.
 */
export function actionOf(method: string, path: string): string {
  const parts = path.split('/').filter((part) => part !== '' && part !== 'v1');
  const words = parts.filter((part) => !part.startsWith('{'));
  const isNamed = method === 'post' && parts.length > words.length;
  return [...words, ...(isNamed ? [] : [SUFFIXES[method] ?? 'create'])].join('.');
}
