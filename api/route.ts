/**
 * One way to declare a route. Express routing and the API document are both made from the same list of these, so nothing
 * that is served is undocumented.
 */

import type { Page, PageRequest } from '../store/database';
import type { Caller } from '../store/repositories/accounts';
import type { Access } from './authentication';
import type { Hub } from './hub';
import { pageQuery } from './paging';
import { z } from './schemas/zod';

type ParameterNames<Path extends string> = Path extends `${string}{${infer Name}}${infer Rest}`
  ? Name | ParameterNames<Rest>
  : never;

export type Method = 'get' | 'post' | 'put' | 'patch' | 'delete';

/** A request after everything was checked. */
export interface RouteRequest<Parameters extends string = string, Query = unknown, Body = unknown> {
  /** Whose key it is; only the account's own documents may be touched. Throws on routes without an account. */
  readonly caller: Caller;
  readonly account: string;
  readonly params: Readonly<Record<Parameters, string>>;
  readonly query: Query;
  readonly body: Body;
  /** Where a list goes on; only on routes that are `paged`. */
  readonly page: PageRequest;
  /** The id of this command: the same when a first try died and the request is repeated with its Idempotency-Key. */
  readonly command: string;
  /** How long the caller wants to wait for the end of what is started (Prefer: wait). Milliseconds. */
  readonly waitMs: number;
  readonly headers: Readonly<Record<string, string | undefined>>;
  /** The bytes as they came; only on routes with `rawBody`. */
  readonly rawBody: Buffer;
  /** The file that was sent, stored already; only on routes with `file`. */
  readonly file: SentFile | null;
}

export interface SentFile {
  /** What `store.files` knows it by. It is dropped after the request unless something claimed it. */
  readonly id: string;
  readonly bytes: number;
  readonly mediaType: string;
}

/**
 * What the audit log says of a route that changes something; each is left out where what is made of the route by itself is
 * right. See api/audit.ts.
 */
export interface RouteAudit<Request> {
  /** Instead of the name that is made from method and path. */
  readonly action?: string;
  /** What it is about, where that is not in the path or the answer. */
  objects?(request: Request): readonly string[];
  /**
   * The object before and after, which is otherwise what GET on the same path, or the nearest above it, says. Null: only
   * the answer is kept.
   */
  readonly snapshot?: ((request: Request, hub: Hub) => Promise<unknown>) | null;
  /** The answer says what the object is now, as the snapshot said it before: it is not looked at again. */
  readonly answerIsAfter?: boolean;
  /**
   * A public route, or a GET, is in the log only with this: whose log it is, once it is done. Who called is not known then
   * but for what they followed (a link with a single-use state).
   */
  owner?(answer: Answer, hub: Hub): Promise<string | null>;
}

export interface Answer {
  readonly status: number;
  readonly body?: unknown;
  /** Instead of a body: a file of any length, sent as it is made. Only where the answer is documented as `fileAnswer`. */
  readonly stream?: AsyncIterable<Buffer>;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What an answer that is a file is documented as. */
export interface FileAnswer {
  readonly mediaTypes: readonly string[];
  /** The answer may be JSON, too, by what was asked for. */
  readonly otherwise: z.ZodType | null;
}

export const fileAnswer = (mediaTypes: readonly string[], otherwise: z.ZodType | null = null): FileAnswer => ({
  mediaTypes,
  otherwise,
});

export const isFileAnswer = (answer: z.ZodType | FileAnswer | null | undefined): answer is FileAnswer =>
  answer != null && 'mediaTypes' in answer;

/** A file as an answer. */
export const sendFile = (stream: AsyncIterable<Buffer>, file: { name: string; mediaType: string }): Answer => ({
  status: 200,
  stream,
  headers: { 'Content-Type': file.mediaType, 'Content-Disposition': `attachment; filename="${file.name}"` },
});

interface RouteSpec<Path extends string, Query extends z.ZodObject, Body extends z.ZodType> {
  readonly method: Method;
  /** As in OpenAPI: `/v1/skus/{sku}`. */
  readonly path: Path;
  readonly access: Access;
  readonly summary: string;
  readonly tag: string;
  readonly query?: Query;
  readonly body?: Body;
  /** The answer is a list: `limit` and `cursor` are taken. */
  readonly paged?: boolean;
  /** Money or goods move: without an Idempotency-Key the call is refused. */
  readonly moves?: boolean;
  /** The same where it depends on what is asked for. Sees the request as it was sent, before it is checked. */
  movesWhen?(sent: { readonly query: unknown; readonly body: unknown }): boolean;
  /** The body is not JSON and is handed on as it came, up to so many bytes. */
  readonly rawBody?: { readonly limitBytes: number };
  /** False: it changes nothing, though its method looks like it. */
  readonly audit?: RouteAudit<RouteRequest<ParameterNames<Path>, z.output<Query>, z.output<Body>>> | false;
  /** The body is a file of one of these types; it is stored, sealed, as it comes. */
  readonly file?: { readonly limitBytes: number; readonly mediaTypes: readonly string[] };
  /** What success looks like, by status; null is an empty body. */
  readonly answers: Readonly<Record<number, z.ZodType | FileAnswer | null>>;
  handle(
    request: RouteRequest<ParameterNames<Path>, z.output<Query>, z.output<Body>>,
    hub: Hub,
  ): Promise<Answer> | Answer;
}

export interface Route {
  readonly method: Method;
  readonly path: string;
  readonly access: Access;
  readonly summary: string;
  readonly tag: string;
  readonly parameters: readonly string[];
  readonly query: z.ZodObject;
  readonly body: z.ZodType | null;
  readonly paged: boolean;
  readonly moves: boolean;
  movesWhen(sent: { readonly query: unknown; readonly body: unknown }): boolean;
  readonly rawBody: { readonly limitBytes: number } | null;
  /** Null: a call leaves no row in the audit log. */
  readonly audit: RouteAudit<RouteRequest> | null;
  readonly file: { readonly limitBytes: number; readonly mediaTypes: readonly string[] } | null;
  readonly answers: Readonly<Record<number, z.ZodType | FileAnswer | null>>;
  handle(request: RouteRequest, hub: Hub): Promise<Answer> | Answer;
}

const nothing = z.strictObject({});
type Nothing = typeof nothing;

/** Every route that changes something is in the audit log by itself. */
function auditOf(spec: { audit?: RouteAudit<RouteRequest> | false; method: Method; access: Access }) {
  if (spec.audit === false) return null;
  const isQuiet = spec.method === 'get' || spec.access === 'public';
  return isQuiet && !spec.audit?.owner ? null : (spec.audit ?? {});
}

/** Declares a route; the handler's types come from the path and the schemas. */
export function route<const Path extends string, Query extends z.ZodObject = Nothing, Body extends z.ZodType = Nothing>(
  spec: RouteSpec<Path, Query, Body>,
): Route {
  const takesBody = spec.method !== 'get' && spec.method !== 'delete' && !spec.rawBody && !spec.file;
  const query = (spec.query ?? nothing) as z.ZodObject;
  return {
    method: spec.method,
    path: spec.path,
    access: spec.access,
    summary: spec.summary,
    tag: spec.tag,
    parameters: [...spec.path.matchAll(/\{(\w+)\}/g)].map(([, name = '']) => name),
    query: spec.paged ? query.extend(pageQuery) : query,
    body: takesBody ? (spec.body ?? nothing) : null,
    paged: spec.paged ?? false,
    moves: spec.moves ?? false,
    movesWhen: spec.movesWhen ?? (() => spec.moves ?? false),
    rawBody: spec.rawBody ?? null,
    audit: auditOf(spec as { audit?: RouteAudit<RouteRequest> | false; method: Method; access: Access }),
    file: spec.file ?? null,
    answers: spec.answers,
    handle: spec.handle as Route['handle'],
  };
}

export const ok = (body: unknown): Answer => ({ status: 200, body });
export const noContent: Answer = { status: 204 };
/** 201; `location` is a path below the server's root. */
export const created = (body: unknown, location?: string): Answer => ({
  status: 201,
  body,
  ...(location === undefined ? {} : { headers: { Location: location } }),
});

/** A page as an answer; the cursor is sealed where it is sent. */
export function listed<Row>(page: Page<Row>, render: (row: Row) => unknown, extra: object = {}): Answer {
  return ok({ ...extra, items: page.items.map(render), nextCursor: page.nextCursor });
}

/** The schema of a list. */
export const listOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), nextCursor: z.string().nullable() });
