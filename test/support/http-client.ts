/** Calls to a served API as a careful client makes them: its key, an Idempotency-Key on every POST, JSON both ways. */
import { randomUUID } from 'node:crypto';

export interface Reply {
  readonly status: number;
  readonly headers: Headers;
  // biome-ignore lint/suspicious/noExplicitAny: each test reads a body in its own way
  readonly body: any;
}

/**
 * @param url where the API is, without `/v1`
 * @param more headers of each call
 */
export function createHttpClient(url: string, more: Readonly<Record<string, string>> = {}) {
  async function call(
    key: string,
    method: string,
    path: string,
    body?: unknown,
    idempotencyKey: string = randomUUID(),
  ) {
    const response = await fetch(`${url}/v1${path}`, {
      method,
      headers: {
        ...more,
        Authorization: `Bearer ${key}`,
        ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
        ...(method === 'POST' ? { 'Idempotency-Key': idempotencyKey } : {}),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, headers: response.headers, body: text === '' ? null : JSON.parse(text) } as Reply;
  }
  return (key: string) => ({
    get: (path: string) => call(key, 'GET', path),
    post: (path: string, body?: unknown, idempotencyKey?: string) => call(key, 'POST', path, body, idempotencyKey),
    put: (path: string, body?: unknown) => call(key, 'PUT', path, body),
    patch: (path: string, body?: unknown) => call(key, 'PATCH', path, body),
    delete: (path: string) => call(key, 'DELETE', path),
  });
}

export type HttpClient = ReturnType<ReturnType<typeof createHttpClient>>;

/** The body of an answer that must have this status; else the test fails showing what came. */
// biome-ignore lint/suspicious/noExplicitAny: each test reads a body in its own way
export async function expectReply(reply: Promise<Reply>, status: number): Promise<any> {
  const { status: got, body } = await reply;
  if (got !== status) throw new Error(`expected ${status}, got ${got}: ${JSON.stringify(body)}`);
  return body;
}
