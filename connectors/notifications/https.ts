/**
 * Notifications as signed HTTPS calls, in the way of Standard Webhooks. The address was given by an account, so it is not
 * trusted: what it resolves to is checked at the moment of connecting (a name that points elsewhere a second later gains
 * nothing), redirects are not followed, and of the answer no more than its status is used.
 */
import type { Readable } from 'node:stream';
import axios, { type AxiosResponse } from 'axios';
import { RequestFilteringHttpAgent, RequestFilteringHttpsAgent } from 'request-filtering-agent';
import { Webhook } from 'standardwebhooks';
import type { OutsideMessage } from '../../domain/notifications';
import { parseRetryAfter } from '../http';
import { DeliveryError, isDeliveryError, type NotifierOptions, type Notifiers } from './port';

/** An answer's body is read to its end, out of courtesy, but no further than this. Bytes. */
const ANSWER_BYTES = 64 * 1024;
/** Nobody is left alone for longer, whatever they ask for. Milliseconds. */
const LONGEST_RETRY_AFTER_MS = 24 * 60 * 60 * 1000;

/** What a receiver gets. */
function callBody(message: OutsideMessage): string {
  return JSON.stringify({
    type: `notification.${message.event}`,
    timestamp: message.at,
    data: {
      id: message.notification,
      event: message.event,
      title: message.title,
      document: message.document,
      detail: message.detail,
      account: message.account,
    },
  });
}

export function createHttpsNotifier(options: Omit<NotifierOptions, 'smtp'>): Notifiers['call'] {
  const { allowPrivateAddresses: isPrivateAllowed, timeoutMs, certificateAuthority, lookup } = options;
  const filter = {
    allowPrivateIPAddress: isPrivateAllowed,
    allowMetaIPAddress: isPrivateAllowed,
    ...(lookup === undefined ? {} : { lookup }),
  };
  // No connection is kept: the next call is checked anew.
  const agents = {
    httpAgent: new RequestFilteringHttpAgent({ keepAlive: false, ...filter }),
    httpsAgent: new RequestFilteringHttpsAgent({
      keepAlive: false,
      ...filter,
      ...(certificateAuthority === undefined ? {} : { ca: certificateAuthority }),
    }),
  };
  const client = axios.create({
    ...agents,
    timeout: timeoutMs,
    maxRedirects: 0,
    proxy: false,
    decompress: false,
    responseType: 'stream',
    validateStatus: () => true,
    transformRequest: [(data) => data],
  });

  return async ({ url, secrets }, message) => {
    if (!isPrivateAllowed && new URL(url).protocol !== 'https:')
      throw new DeliveryError('refused', 'The endpoint is not called without TLS');
    const body = callBody(message);
    const at = new Date();
    const deadline = new AbortController();
    const timer = setTimeout(() => deadline.abort(), timeoutMs);
    try {
      const answer = await client.request<Readable>({
        method: 'POST',
        url,
        data: body,
        signal: deadline.signal,
        headers: {
          'Content-Type': 'application/json',
          'User-Agent': 'tradelane',
          'webhook-id': message.id,
          'webhook-timestamp': String(Math.floor(at.getTime() / 1000)),
          'webhook-signature': secrets.map((secret) => new Webhook(secret).sign(message.id, at, body)).join(' '),
        },
      });
      await drained(answer.data);
      judge(answer);
    } catch (error) {
      throw deliveryError(error);
    } finally {
      clearTimeout(timer);
    }
  };
}

/** Reads what little there should be. How it ends does not matter: the status has come. */
async function drained(body: Readable): Promise<void> {
  let bytes = 0;
  try {
    for await (const chunk of body) {
      bytes += (chunk as Buffer).length;
      if (bytes > ANSWER_BYTES) break;
    }
  } catch {
    // The receiver hung up, or was too slow.
  } finally {
    body.destroy();
  }
}

function judge({ status, headers }: AxiosResponse): void {
  if (status >= 200 && status < 300) return;
  if (status === 410) throw new DeliveryError('refused', 'The endpoint is gone (410)');
  const retryAfterMs =
    status === 429 || status === 503 ? parseRetryAfter(headers['retry-after'], Date.now()) : undefined;
  throw new DeliveryError(
    'unavailable',
    `The endpoint answers ${status}`,
    retryAfterMs === undefined ? undefined : Math.min(retryAfterMs, LONGEST_RETRY_AFTER_MS),
  );
}

function deliveryError(error: unknown): DeliveryError {
  if (isDeliveryError(error)) return error;
  const { message = '', code } = (error ?? {}) as { message?: string; code?: string };
  // The agent's refusal has no code of its own; a test holds these words.
  if (/is not allowed\. Because/.test(message))
    return new DeliveryError('refused', 'The endpoint’s address lies in a network that is not called');
  if (code === 'ERR_CANCELED' || code === 'ECONNABORTED' || code === 'ETIMEDOUT')
    return new DeliveryError('unavailable', 'The endpoint does not answer in time');
  return new DeliveryError('unavailable', 'The endpoint can not be reached');
}
