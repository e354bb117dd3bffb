/**
 * Identifiers. Each is a lower-case prefix that says what it names, an underscore and a ULID, so that ids sort by
 * the time they were made and a log line can be read without a schema.
 */
import { ulid } from 'ulid';

declare const brand: unique symbol;
/** A string that names one kind of thing; the brand stops one kind from being passed for another. */
export type Id<Kind extends string> = string & { readonly [brand]: Kind };

/** One prefix per kind of thing that gets an id of its own. */
export const ID_PREFIXES = {
  account: 'acct',
  apiKey: 'key',
  warehouse: 'wh',
  customer: 'cust',
  invitation: 'inv',
  partnership: 'pship',
  store: 'store',
  listing: 'lst',
  order: 'ord',
  package: 'pkg',
  supplyOrder: 'sord',
  return: 'ret',
  bulk: 'bulk',
  pushRule: 'rule',
  level: 'lvl',
  visibilityRule: 'vis',
  notification: 'ntf',
  delivery: 'dlv',
  command: 'cmd',
  job: 'job',
  file: 'file',
  import: 'imp',
  audit: 'aud',
  inbox: 'evt',
  verification: 'vfy',
} as const;
export type IdKind = keyof typeof ID_PREFIXES;

/** Drawn many at once: one by one, as the library does it, an id takes sixteen calls of the generator, and ten marks a millisecond. */
const drawn = new Uint32Array(512);
let used = drawn.length;

function random(): number {
  if (used === drawn.length) {
    globalThis.crypto.getRandomValues(drawn);
    used = 0;
  }
  const value = drawn[used] ?? 0;
  used += 1;
  return value / 2 ** 32;
}

/** A fresh id of the given kind, e.g. `ord_01JD…`. */
export function newId<Kind extends IdKind>(kind: Kind): Id<Kind> {
  return `${ID_PREFIXES[kind]}_${ulid(undefined, random).toLowerCase()}` as Id<Kind>;
}

/** The id of what a command makes: the same again when the command is repeated, so that it makes one thing. */
export function idFor<Kind extends IdKind>(kind: Kind, command: string | undefined): Id<Kind> {
  const [, own] = /^cmd_([0-9a-z]{26})$/.exec(command ?? '') ?? [];
  return own === undefined ? newId(kind) : (`${ID_PREFIXES[kind]}_${own}` as Id<Kind>);
}
