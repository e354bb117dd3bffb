/**
 * The audit trail of requests: who did what to which object, when, from where, before and after. Contract: docs/audit-log.md.
 *
 * Every route that changes something leaves a row by itself. What is about to be done is written down before it is done, so
 * that a process that dies in between leaves a trace too; the row is in the chain before the answer goes out, unless the
 * database makes that wait.
 */
import { type AuditActor, type AuditEntry, type AuditIntent, actionOf, auditText } from '../domain/audit';
import { FAILURES, isHubError } from '../domain/failures';
import { newId } from '../domain/ids';
import type { Identity } from './authentication';
import type { Hub } from './hub';
import { toHubError } from './problems';
import type { Answer, Route, RouteRequest } from './route';

/** An answer is held back for its row at most this long; the row follows. Milliseconds. */
const ANSWER_WAITS_MS = 2_000;
const OBJECT_MOST = 300;
const OBJECTS_MOST = 500;
/** Refusals that somebody who was let in got for trying to change something. Others are noise. */
const KEPT_REFUSALS = [403, 404, 409, 422];

export interface AuditTrail {
  /** @returns what follows one request; null where it leaves no row */
  follow(route: Route, identity: Identity, origin: Origin): Trace | null;
}

interface Origin {
  readonly request: string;
  readonly address: string | null;
  readonly params: Readonly<Record<string, string>>;
}

export interface Trace {
  /**
   * Runs what the request asks for, once it is known to be allowed, well-formed and no repeat. Holds the answer back until the
   * row is written, or has waited long enough: also before it is kept for who asks again, since a repeat leaves no row.
   */
  around(request: RouteRequest, handle: () => Promise<Answer>): Promise<Answer>;
  /** The request was refused before it came to be run. */
  refused(error: unknown): Promise<void>;
}

function actorOf(identity: Identity): AuditActor {
  return identity.kind === 'account'
    ? { kind: 'api_key', id: identity.caller.key, name: identity.caller.keyName }
    : { kind: identity.kind === 'platform' ? 'platform' : 'link', id: null, name: null };
}

type Part = Readonly<Record<string, unknown>> | undefined;
const textIn = (part: Part, name: string) => (typeof part?.[name] === 'string' ? [part[name] as string] : []);

/** What an answer says was made. */
function madeIn(answer: Answer): string[] {
  const body = answer.body as Part;
  return [...textIn(body, 'id'), ...textIn(body?.account as Part, 'id'), ...textIn(body, 'sku')];
}

const MOST_LISTED = 200;

const needsNothing = (view: Route) => view.query.safeParse({}).success;
const shapeOf = (view: Route) => (view.answers[200] as { shape?: object } | null | undefined)?.shape ?? { items: null };
const isList = (view: Route) => 'items' in shapeOf(view);

/** What shows the object of a route, and what of it: the whole answer, or one item of a list. */
interface View {
  readonly route: Route;
  readonly item: string | null;
}

/** GET on the same path or on the nearest above it, if it needs nothing more than the path. */
function viewOf(route: Route, routes: readonly Route[]): View | null {
  const above = (path: string) => path.slice(0, path.lastIndexOf('/'));
  for (let path = route.path; path.split('/').length > 2; path = above(path)) {
    const view = routes.find((one) => one.method === 'get' && one.path === path);
    if (!view) continue;
    if (!needsNothing(view)) return null;
    if (!isList(view)) return { route: view, item: null };
    const [, item] = /\{(\w+)\}$/.exec(route.path) ?? [];
    return item !== undefined && path === above(route.path) ? { route: view, item } : null;
  }
  return null;
}

type Snapshot = (request: RouteRequest) => Promise<unknown>;

/** How the object of a route is looked at before and after; null where it is not. */
function snapshotOf(hub: Hub, route: Route, routes: readonly Route[]): Snapshot | null {
  const own = route.audit?.snapshot;
  if (own === null) return null;
  if (own) return (request) => own(request, hub);
  const view = viewOf(route, routes);
  if (view === null) return null;
  return async (request) => {
    const page = { limit: MOST_LISTED, after: null };
    const own = { query: { ...view.route.query.parse({}), ...page }, page, waitMs: 0, body: undefined };
    // Over the request, not a copy of it: whose it is is a getter that throws where nobody's key asks.
    const seen = Object.create(request, Object.getOwnPropertyDescriptors(own)) as RouteRequest;
    const { body } = await view.route.handle(seen, hub);
    if (view.item === null) return body;
    const name = request.params[view.item];
    const { items } = body as { items: { id?: unknown; sku?: unknown }[] };
    return items.find(({ id, sku }) => id === name || (id === undefined && sku === name));
  };
}

/** What is not there before it is made, or after it was removed, is null. */
async function look(snapshot: Snapshot | null, request: RouteRequest): Promise<unknown> {
  try {
    return (await snapshot?.(request)) ?? null;
  } catch (error) {
    if (isHubError(error) && FAILURES[error.code].status < 500) return null;
    throw error;
  }
}

/** Makes the trail of all routes. */
export function createAuditTrail(hub: Hub, routes: readonly Route[]): AuditTrail {
  const snapshots = new Map(
    routes.flatMap((route) => (route.audit === null ? [] : [[route, snapshotOf(hub, route, routes)] as const])),
  );

  function follow(route: Route, identity: Identity, origin: Origin): Trace | null {
    const { audit } = route;
    if (audit === null || (identity.kind === 'nobody' && !audit.owner)) return null;
    const snapshot = snapshots.get(route) ?? null;
    let written: Promise<void> | null = null;

    const ownerBy = async (answer: Answer): Promise<string | null> =>
      (await audit.owner?.(answer, hub)) ?? textIn((answer.body as Part)?.account as Part, 'id')[0] ?? null;

    const intentOf = (request: RouteRequest | null, before: unknown): AuditIntent => ({
      id: newId('audit'),
      at: hub.now().getTime(),
      account: ownerOf(route, identity, origin),
      actor: actorOf(identity),
      action: audit.action ?? actionOf(route.method, route.path),
      route: `${route.method.toUpperCase()} ${route.path}`,
      objects: objectsOf([...Object.values(origin.params), ...((request && audit.objects?.(request)) ?? [])]),
      request: origin.request,
      command: request?.command || null,
      address: origin.address,
      before: auditText(before),
    });

    function write(entry: AuditEntry): void {
      written = hub.store.audit.append(entry).catch((error: unknown) => {
        hub.logger.warn('Audit row left to the sweep', { requestId: origin.request, route: route.path, error });
      });
    }

    /** The row of what could not be done. */
    function writeFailure(intent: AuditIntent, error: unknown): void {
      const { code } = toHubError(error);
      const { status } = FAILURES[code];
      const isRefusal = status < 500;
      // Anybody may try a link: what is refused to nobody in particular is noise.
      if (isRefusal && identity.kind === 'nobody') {
        written = hub.store.audit.drop(intent.id).catch(() => {});
        return;
      }
      const outcome = isRefusal ? 'refused' : 'failed';
      write({ ...intent, before: isRefusal ? null : intent.before, outcome, status, code, after: null });
    }

    /** The row of what was done. */
    async function writeDone(intent: AuditIntent, request: RouteRequest, answer: Answer): Promise<void> {
      const seen = audit?.answerIsAfter ? null : await look(snapshot, request).catch(() => null);
      const isRemoved = route.method === 'delete' && seen === null;
      write({
        ...intent,
        account: intent.account ?? (await ownerBy(answer).catch(() => null)),
        objects: objectsOf([...intent.objects, ...(answer.status === 201 ? madeIn(answer) : [])]),
        outcome: 'done',
        status: answer.status,
        code: null,
        after: isRemoved ? null : auditText(seen ?? answer.body),
      });
    }

    return {
      async around(request, handle) {
        const intent = intentOf(request, await look(snapshot, request));
        await hub.store.audit.begin(intent);
        let answer: Answer;
        try {
          answer = await handle();
        } catch (error) {
          writeFailure(intent, error);
          throw error;
        }
        await writeDone(intent, request, answer);
        await inTime(written);
        return answer;
      },
      async refused(error) {
        const { code } = toHubError(error);
        // A request whose first is still running is a repeat, not an attempt of its own.
        const isKept = KEPT_REFUSALS.includes(FAILURES[code].status) && code !== 'idempotency_in_progress';
        if (written === null && isKept) writeFailure(intentOf(null, null), error);
        await inTime(written);
      },
    };
  }

  return { follow };
}

/** Whose log a row belongs to: the account that asks; for the platform's administrator the account it is about. */
function ownerOf(route: Route, identity: Identity, { params }: Origin): string | null {
  if (identity.kind === 'account') return identity.caller.account;
  return route.path.startsWith('/v1/accounts/{id}') ? (params.id ?? null) : null;
}

const objectsOf = (names: readonly string[]) =>
  [...new Set(names.map((name) => name.slice(0, OBJECT_MOST)))].slice(0, OBJECTS_MOST);

async function inTime(written: Promise<void> | null): Promise<void> {
  if (written === null) return;
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ANSWER_WAITS_MS);
  });
  await Promise.race([written, late]);
  clearTimeout(timer);
}
