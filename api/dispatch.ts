/** Serves one declared route: access, body, idempotency, validation, the handler, and the answer. */
import { isUtf8 } from 'node:buffer';
import { pipeline } from 'node:stream';
import express, { type Request, type RequestHandler, type Response } from 'express';
import { HubError, type InputProblem } from '../domain/failures';
import type { Caller } from '../store/repositories/accounts';
import type { AuditTrail, Trace } from './audit';
import { type Identity, requireAccess } from './authentication';
import type { Hub } from './hub';
import { once } from './idempotency';
import { inputProblems } from './input';
import type { CursorSeal } from './paging';
import { invalidInput, type Rendered } from './problems';
import { type Answer, isFileAnswer, type Route, type RouteRequest } from './route';
import { dropUnclaimed, type ReceivedUpload, receiveUpload } from './uploads';

const LONGEST_WAIT_SECONDS = 30;

/** What the layers before a route leave for it; express keeps it in `response.locals`. */
export interface Locals {
  requestId: string;
  identity: Identity;
  /** The template of the route that serves; for logs and figures. */
  route?: string;
}
export const localsOf = (response: Response): Locals => response.locals as Locals;

/** A parser as a promise. It looks at the content type itself, so it is told to take any. */
function run(parser: RequestHandler, request: Request, response: Response): Promise<void> {
  return new Promise((resolve, reject) => {
    void parser(request, response, (error?: unknown) => (error === undefined ? resolve() : reject(error)));
  });
}

const hasBody = (request: Request) =>
  request.headers['transfer-encoding'] !== undefined || Number(request.headers['content-length'] ?? 0) > 0;

/** The JSON body, or an empty object where there is none. 400, 413, 415. */
function createJsonReader(limitBytes: number) {
  const parser = express.json({
    limit: limitBytes,
    strict: false,
    type: () => true,
    verify(_request, _response, bytes) {
      if (!isUtf8(bytes)) throw new Error('not UTF-8');
    },
  });
  return async (request: Request, response: Response): Promise<unknown> => {
    if (!hasBody(request)) return {};
    const mediaType = (request.headers['content-type'] ?? '').split(';')[0]?.trim().toLowerCase();
    if (mediaType !== 'application/json')
      throw new HubError('unsupported_media_type', 'Send the body with Content-Type: application/json');
    await run(parser, request, response);
    return request.body;
  };
}

async function readRaw(request: Request, response: Response, limitBytes: number): Promise<Buffer> {
  await run(express.raw({ limit: limitBytes, type: () => true }), request, response);
  return Buffer.isBuffer(request.body) ? request.body : Buffer.alloc(0);
}

/** `Prefer: wait=N` in milliseconds; 0 where there is none. A preference that can't be read is none (RFC 7240). */
export function waitOf(prefer: string | undefined): number {
  const seconds = /(?:^|[,;\s])wait\s*=\s*"?(\d{1,6})"?(?=$|[,;\s])/i.exec(prefer ?? '')?.[1];
  return seconds === undefined ? 0 : Math.min(Number(seconds), LONGEST_WAIT_SECONDS) * 1000;
}

/** Body and query checked at once, so that one answer names everything that is wrong. */
function validate(route: Route, request: Request, body: unknown) {
  const query = route.query.safeParse(request.query);
  const parsed = route.body?.safeParse(body);
  const problems: InputProblem[] = [
    ...(parsed?.success === false ? inputProblems(parsed.error.issues, body, '') : []),
    ...(query.success ? [] : inputProblems(query.error.issues, request.query, '/query')),
  ];
  if (problems.length > 0) throw invalidInput(problems);
  return { query: query.data as Record<string, unknown>, body: parsed?.data };
}

function callerOf(identity: Identity): Caller {
  if (identity.kind !== 'account') throw new Error('This route has no caller');
  return identity.caller;
}

/** Makes the express handler of a route. */
export function createDispatcher(hub: Hub, cursors: CursorSeal, trail: AuditTrail) {
  const readJson = createJsonReader(hub.config.api.bodyLimitBytes);

  async function perform(
    route: Route,
    request: Request,
    identity: Identity,
    input: {
      body: unknown;
      rawBody: Buffer;
      file: ReceivedUpload | null;
      command: string;
      trace: Trace | null;
    },
  ): Promise<Rendered> {
    const { query, body } = validate(route, request, input.body);
    const scope = `${identity.kind === 'account' ? identity.caller.account : ''} ${route.path}`;
    const cursor = query.cursor as string | undefined;
    const waitMs = waitOf(request.get('prefer'));
    const ready: RouteRequest = {
      get caller() {
        return callerOf(identity);
      },
      get account() {
        return callerOf(identity).account;
      },
      params: request.params as Record<string, string>,
      query,
      body,
      page: {
        limit: (query.limit as number | undefined) ?? 0,
        after: route.paged && cursor !== undefined ? cursors.open(cursor, scope) : null,
      },
      command: input.command,
      waitMs,
      headers: request.headers as Record<string, string | undefined>,
      rawBody: input.rawBody,
      file: input.file,
    };
    const handle = async () => route.handle(ready, hub);
    const answer = await (input.trace === null ? handle() : input.trace.around(ready, handle));
    const sealed = route.paged ? sealCursor(answer, (position) => cursors.seal(position, scope)) : answer;
    return render(hub, route, sealed);
  }

  async function answer(route: Route, request: Request, response: Response, trace: Trace | null): Promise<Rendered> {
    const { identity = { kind: 'nobody' } } = localsOf(response);
    requireAccess(route.access, identity);
    const rawBody = route.rawBody ? await readRaw(request, response, route.rawBody.limitBytes) : Buffer.alloc(0);
    const body = route.body ? await readJson(request, response) : undefined;
    const file = route.file ? await receiveUpload(hub, route, request, identity) : null;
    const go = async (command: string) => {
      try {
        return await perform(route, request, identity, { body, rawBody, file, command, trace });
      } catch (error) {
        // Here, because a refusal that is kept for a repeat does not come out of `once` as an error.
        await trace?.refused(error);
        throw error;
      }
    };
    // A file is made anew each time: it is not kept for a repeat.
    const isFile = Object.values(route.answers).some(isFileAnswer) && !route.moves;
    const isKept = route.method === 'post' && identity.kind !== 'nobody' && !isFile;
    const command = {
      owner: identity.kind === 'account' ? identity.caller.account : 'platform',
      route: `${route.method} ${route.path}`,
      key: request.get('idempotency-key'),
      required: route.movesWhen({ query: request.query, body }),
      content: { params: request.params, query: request.query, body: file ? file.content : body },
    };
    try {
      return await (isKept ? once(hub, command, go) : go(''));
    } finally {
      if (file) await dropUnclaimed(hub, file);
    }
  }

  return (route: Route): RequestHandler =>
    async (request, response) => {
      const { identity = { kind: 'nobody' }, requestId } = localsOf(response);
      localsOf(response).route = route.path;
      const trace = trail.follow(route, identity, {
        request: requestId,
        address: request.ip ?? null,
        params: request.params as Record<string, string>,
      });
      try {
        send(response, await answer(route, request, response, trace));
      } catch (error) {
        await trace?.refused(error);
        throw error;
      }
    };
}

function sealCursor(answer: Answer, seal: (position: string) => string): Answer {
  const body = answer.body as { nextCursor?: string | null } | undefined;
  if (typeof body?.nextCursor !== 'string') return answer;
  return { ...answer, body: { ...body, nextCursor: seal(body.nextCursor) } };
}

function render(hub: Hub, route: Route, answer: Answer): Rendered {
  const { status, body, headers = {} } = answer;
  if (hub.checkAnswers) checkAnswer(route, answer);
  if (answer.stream) return { status, headers, text: '', stream: told(hub, route, answer.stream) };
  return body === undefined
    ? { status, headers, text: '' }
    : { status, headers: { 'Content-Type': 'application/json', ...headers }, text: JSON.stringify(body) };
}

/** The status is out when a file's making fails, so the log is where that is told; the answer is cut off. */
async function* told(hub: Hub, route: Route, stream: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  try {
    yield* stream;
  } catch (error) {
    hub.logger.error('A file that was being sent was cut off', { route: route.path, error });
    throw error;
  }
}

function checkAnswer(route: Route, { status, body, stream }: Answer): void {
  const documented = route.answers[status];
  const schema = isFileAnswer(documented) ? documented.otherwise : documented;
  const place = `${route.method} ${route.path} ${status}`;
  if (stream) {
    if (!isFileAnswer(documented)) throw new Error(`${place}: a file where none is documented`);
    return;
  }
  if (schema === undefined) throw new Error(`${place}: the status is not documented`);
  if (schema === null) {
    if (body !== undefined) throw new Error(`${place}: a body where none is documented`);
    return;
  }
  const plain = JSON.parse(JSON.stringify(body)) as unknown;
  const parsed = schema.safeParse(plain);
  if (!parsed.success) throw new Error(`${place}: ${parsed.error.message}`);
  // What the schema does not name would be dropped by it.
  const extra = undocumented(plain, parsed.data);
  if (extra !== null) throw new Error(`${place}: the answer has an undocumented field ${extra}`);
}

function undocumented(sent: unknown, known: unknown, path = ''): string | null {
  if (typeof sent !== 'object' || sent === null) return null;
  for (const [name, value] of Object.entries(sent)) {
    if (typeof known !== 'object' || known === null || !(name in known)) return `${path}/${name}`;
    const inner = undocumented(value, (known as Record<string, unknown>)[name], `${path}/${name}`);
    if (inner !== null) return inner;
  }
  return null;
}

/** Sends what was rendered, byte for byte. */
export function send(response: Response, { status, headers, text, stream }: Rendered): void {
  response.status(status);
  // Not through express, which would add a charset that JSON does not have.
  for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
  // Whoever hangs up ends the making, too.
  if (stream) pipeline(stream, response, () => {});
  else if (text === '') response.end();
  else response.send(Buffer.from(text));
}
