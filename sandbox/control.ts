/** A typed client of the sandbox's control route, for tests and the demo. */
import type { CallFilter, ReceivedCall } from './marketplaces/calls';
import type {
  FaultInput,
  OrderChange,
  OrderInput,
  PushRepeat,
  SettingsInput,
  ShopInput,
} from './marketplaces/control-schemas';
import type { Fault, FaultKind } from './marketplaces/faults';
import type { RatesInput } from './marketplaces/rates';
import type { SandboxOrder, SandboxPlatform, SandboxPush, SandboxShop } from './marketplaces/state';

export type ShopView = Pick<SandboxShop, 'platform' | 'shopId' | 'name' | 'currency' | 'items'>;

export type SandboxControl = ReturnType<typeof createSandboxControl>;

/**
 * @param url the sandbox's own address, e.g. `http://127.0.0.1:9000`.
 * Every method throws an Error with the sandbox's words where it refuses.
 */
export function createSandboxControl(url: string) {
  const call = async <T>(method: string, path: string, body?: unknown): Promise<T> => {
    const response = await fetch(`${url}/control${path}`, {
      method,
      ...(body === undefined ? {} : { headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) }),
    });
    const answer = (await response.json()) as T & { error?: string };
    if (!response.ok) throw new Error(`Sandbox ${method} ${path}: ${response.status} ${answer.error ?? ''}`);
    return answer;
  };
  return {
    health: () => call<{ ok: boolean; shops: number; orders: number }>('GET', '/health'),
    /** Where pushes go: the hub's public address. */
    configure: (settings: SettingsInput) => call<SettingsInput>('PUT', '/settings', settings),
    /** Changes what the provider of exchange rates quotes, or takes it down. */
    setRates: (input: RatesInput) => call<{ calls: number }>('PUT', '/rates', input),
    /** How often it was asked. */
    rates: () => call<{ calls: number }>('GET', '/rates'),
    /** Forgets shops, orders, faults, calls and pushes. */
    reset: () => call<{ ok: boolean }>('POST', '/reset'),

    /** Makes a shop; `code` authorises it without a browser (`exchangeCode({ code, shop_id })`). */
    createShop: (platform: SandboxPlatform, shop: ShopInput) =>
      call<ShopView & { code: string }>('POST', `/${platform}/shops`, shop),
    shops: (platform: SandboxPlatform) => call<{ shops: ShopView[] }>('GET', `/${platform}/shops`),
    /** The shop with its items and their stock. */
    shop: (platform: SandboxPlatform, shopId: string) => call<ShopView>('GET', `/${platform}/shops/${shopId}`),
    /** A fresh authorisation code. */
    authorize: (platform: SandboxPlatform, shopId: string) =>
      call<{ shopId: string; code: string }>('POST', `/${platform}/shops/${shopId}/authorize`),

    /** A buyer orders. */
    createOrder: (platform: SandboxPlatform, order: OrderInput) =>
      call<SandboxOrder & { pushes: string[] }>('POST', `/${platform}/orders`, order),
    orders: (platform: SandboxPlatform) => call<{ orders: SandboxOrder[] }>('GET', `/${platform}/orders`),
    order: (platform: SandboxPlatform, orderNumber: string) =>
      call<SandboxOrder>('GET', `/${platform}/orders/${orderNumber}`),
    /** Moves an order to another state and pushes that. */
    advanceOrder: (platform: SandboxPlatform, orderNumber: string, change: OrderChange) =>
      call<SandboxOrder & { pushes: string[] }>('PATCH', `/${platform}/orders/${orderNumber}`, change),
    /** Sends the order's last push again; the hub's HTTP statuses, null where it gave none. */
    repeatPush: (platform: SandboxPlatform, orderNumber: string, repeat: PushRepeat = {}) =>
      call<{ id: string; statuses: (number | null)[] }>('POST', `/${platform}/orders/${orderNumber}/push`, repeat),
    pushes: (filter: { platform?: SandboxPlatform; orderNumber?: string } = {}) =>
      call<{ pushes: SandboxPush[] }>('GET', `/pushes${queryOf(filter)}`),

    /** Breaks something. */
    addFault: (platform: SandboxPlatform, fault: FaultInput) =>
      call<{ faults: (Fault & { left: number | null })[] }>('POST', `/${platform}/faults`, fault),
    faults: (platform: SandboxPlatform) =>
      call<{ faults: (Fault & { left: number | null })[] }>('GET', `/${platform}/faults`),
    /** Mends everything, or one kind. */
    clearFaults: (platform: SandboxPlatform, kind?: FaultKind) =>
      call<{ faults: Fault[] }>('DELETE', `/${platform}/faults${queryOf({ kind })}`),

    /** What the hub called. `limit: 0` only counts. */
    calls: (filter: CallFilter & { limit?: number } = {}) =>
      call<{ count: number; entries: number; calls: ReceivedCall[] }>('GET', `/calls${queryOf(filter)}`),
    clearCalls: () => call<{ ok: boolean }>('DELETE', '/calls'),
  };
}

function queryOf(filter: object): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(filter)) if (value !== undefined) query.set(name, String(value));
  const text = query.toString();
  return text === '' ? '' : `?${text}`;
}
