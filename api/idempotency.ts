/**
 * A command that is sent again does nothing again: the first answer is kept and given again. Definite answers are kept,
 * refusals too; what may succeed later (429, 5xx) gives the key back.
 */
import { createHash } from 'node:crypto';
import { canonical } from '../domain/canonical';
import { HubError } from '../domain/failures';
import { newId } from '../domain/ids';
import type { Hub } from './hub';
import { type Rendered, renderProblem, toHubError } from './problems';

export interface Command {
  /** Whose keys these are: an account, or `platform`. */
  readonly owner: string;
  /** Method and path template: the same key on two routes means two commands. */
  readonly route: string;
  /** Header Idempotency-Key. */
  readonly key: string | undefined;
  readonly required: boolean;
  /** Everything else that makes the request: path, query and body. */
  readonly content: unknown;
}

/** The header's value, or undefined where there is none. 400 where it is not usable or missing though needed. */
export function idempotencyKeyOf(header: string | undefined, required: boolean): string | undefined {
  if (header === undefined) {
    if (required) throw new HubError('idempotency_key_required', 'Send a new key, e.g. a UUID, with each command');
    return undefined;
  }
  if (!/^[\x21-\x7e]{1,200}$/.test(header))
    throw new HubError('idempotency_key_invalid', 'Use visible ASCII characters');
  return header;
}

/** Runs `perform` once for a key, with the command's id. Its failures come back as answers where they are definite. */
export async function once(
  hub: Hub,
  command: Command,
  perform: (command: string) => Promise<Rendered>,
): Promise<Rendered> {
  const key = idempotencyKeyOf(command.key, command.required);
  if (key === undefined) return perform(newId('command'));
  const { idempotency } = hub.store;
  const verdict = await idempotency.begin({
    account: command.owner,
    route: command.route,
    key,
    bodyHash: createHash('sha256').update(canonical(command.content)).digest('hex'),
  });
  switch (verdict.kind) {
    case 'again': {
      const { status, headers, body } = verdict.answer;
      return { status, headers: { ...headers, 'Idempotency-Replayed': 'true' }, text: String(body) };
    }
    case 'reused':
      throw new HubError('idempotency_key_reused', 'Send another request with a key of its own');
    case 'running':
      throw new HubError('idempotency_in_progress', 'Ask again in a moment', { retryAfterMs: verdict.retryAfterMs });
    case 'first':
      return first(hub, command.owner, verdict, perform);
  }
}

async function first(
  hub: Hub,
  owner: string,
  verdict: { readonly id: string; readonly command: string },
  perform: (command: string) => Promise<Rendered>,
): Promise<Rendered> {
  const { idempotency } = hub.store;
  let answer: Rendered;
  try {
    answer = await perform(verdict.command);
  } catch (error) {
    answer = renderProblem(toHubError(error));
    if (answer.status === 429 || answer.status >= 500) {
      await idempotency.release(verdict.id).catch((failure: unknown) => {
        hub.logger.warn('Idempotency key not released; its lease ends by itself', { error: failure });
      });
      throw error;
    }
  }
  try {
    const { status, headers, text } = answer;
    await idempotency.keep(owner, verdict.id, { status, headers, body: text });
  } catch (error) {
    // What was done is done: a repeat runs under the same command id and finds it.
    hub.logger.warn('Answer not kept', { error });
  }
  return answer;
}
