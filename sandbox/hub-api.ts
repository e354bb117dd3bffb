/** A small typed client of the hub's HTTP API, for the seed and the demo: only what these two use. */
import { setTimeout as sleep } from 'node:timers/promises';

export interface Money {
  readonly amount: string;
  readonly currency: string;
}
export interface Warehouse {
  readonly id: string;
  readonly name: string;
  readonly kind: 'own' | 'third_party' | 'supplier';
  readonly partnership: string | null;
}
export interface Stock {
  readonly warehouse: string;
  readonly sku: string;
  readonly onHand: number;
  readonly allocated: number;
  readonly available: number;
}
export interface Partnership {
  readonly id: string;
  readonly status: string;
  readonly supplier: { readonly id: string };
  readonly distributor: { readonly id: string };
}
export interface HubStore {
  readonly id: string;
  readonly platform: 'shopee' | 'lazada';
  readonly name: string;
  readonly shopId: string | null;
  readonly status: string;
}
export interface Listing {
  readonly id: string;
  readonly item: string;
  readonly model: string;
  readonly sellerSku: string;
  readonly sku: string | null;
}
export interface Charge {
  readonly lines: readonly {
    readonly kind: string;
    readonly sku: string | null;
    readonly quantity: number;
    readonly unit: Money;
    readonly amount: Money;
  }[];
  readonly total: Money;
}
export interface Recipient {
  readonly name: string;
  readonly phone: string;
  readonly address: string;
}
export interface Order {
  readonly id: string;
  readonly number: string;
  readonly status: string;
  readonly packages: readonly {
    readonly id: string;
    readonly status: string;
    readonly warehouse: string | null;
    readonly charge: Charge | null;
    readonly supplyOrder: string | null;
  }[];
}
export interface SupplyOrder {
  readonly id: string;
  readonly status: string;
  readonly package: string;
  readonly warehouse: string;
  readonly sourceStore: string;
  readonly charge: Charge;
  readonly recipient: Recipient | null;
}
export interface Billing {
  readonly balance: Money;
  readonly usedCredit: Money;
  readonly unusedCredit: Money;
}
export interface Operation {
  readonly id: string;
  readonly kind: string;
  readonly status: string;
  readonly document: string;
  readonly error: { readonly code: string; readonly detail: string } | null;
}

/** The hub said no: the status, the problem's stable code, and its words. */
export class HubApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    message: string,
  ) {
    super(message);
    this.name = 'HubApiError';
  }
}

interface CallOptions {
  /** The same key again gives the first answer again, and does nothing twice. */
  readonly idempotencyKey?: string;
  /** Waits so long for the end of what is started. Seconds, at most 30. */
  readonly waitS?: number;
}

const MOMENT_MS = 1000;
/** How long refusals of the moment are waited out: 429, 503, and a command that still runs, or died at most a minute ago. */
const PATIENCE_MS = 90_000;

export type HubApi = ReturnType<typeof createHubApi>;

/** @param url the API's own address, without `/v1`. Every method throws `HubApiError` where the hub refuses. */
export function createHubApi(url: string, key: string) {
  async function call<T>(method: string, path: string, body?: unknown, options: CallOptions = {}): Promise<T> {
    const end = Date.now() + PATIENCE_MS;
    for (;;) {
      const response = await fetch(`${url}/v1${path}`, {
        method,
        headers: {
          Authorization: `Bearer ${key}`,
          ...(body === undefined ? {} : { 'Content-Type': 'application/json' }),
          ...(options.idempotencyKey === undefined ? {} : { 'Idempotency-Key': options.idempotencyKey }),
          ...(options.waitS === undefined ? {} : { Prefer: `wait=${options.waitS}` }),
        },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await response.text();
      if (response.ok) return (text === '' ? undefined : JSON.parse(text)) as T;
      const problem = problemOf(text);
      const passes = [429, 503].includes(response.status) || problem.code === 'idempotency_in_progress';
      if (!passes || Date.now() > end)
        throw new HubApiError(response.status, problem.code, `${method} ${path}: ${response.status} ${problem.words}`);
      await sleep(Number(response.headers.get('Retry-After') ?? 1) * 1000 || MOMENT_MS);
    }
  }

  return {
    get: <T>(path: string) => call<T>('GET', path),
    post: <T>(path: string, body?: unknown, options?: CallOptions) => call<T>('POST', path, body ?? {}, options),
    put: <T>(path: string, body: unknown) => call<T>('PUT', path, body),
    patch: <T>(path: string, body: unknown) => call<T>('PATCH', path, body),

    /** All items of a list, page after page. */
    async list<T>(path: string): Promise<T[]> {
      const items: T[] = [];
      let cursor: string | null = null;
      do {
        const query: string = `${path.includes('?') ? '&' : '?'}limit=200${cursor === null ? '' : `&cursor=${encodeURIComponent(cursor)}`}`;
        const page = await call<{ items: T[]; nextCursor: string | null }>('GET', `${path}${query}`);
        items.push(...page.items);
        cursor = page.nextCursor;
      } while (cursor !== null);
      return items;
    },
  };
}

function problemOf(text: string): { code: string; words: string } {
  try {
    const { code = '', detail = '', errors = [] } = JSON.parse(text);
    const places = (errors as { pointer: string; detail: string }[]).map((one) => `${one.pointer} ${one.detail}`);
    return { code, words: [code, detail, ...places].filter((part) => part !== '').join(', ') };
  } catch {
    return { code: '', words: text.slice(0, 200) };
  }
}

/**
 * Asks again and again until there is an answer. Throws what was missing last when the time is up.
 * @param look answers, or throws while it is not there yet
 */
export async function until<T>(look: () => Promise<T>, withinMs = 60_000, everyMs = 100): Promise<T> {
  const end = Date.now() + withinMs;
  for (;;) {
    try {
      return await look();
    } catch (error) {
      if (Date.now() > end) throw error;
      await sleep(everyMs);
    }
  }
}
