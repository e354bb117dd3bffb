/** Every call that reached the sandbox, so that a test can say what the hub did, and how often. */
import type { SandboxPlatform } from './state';

export interface ReceivedCall {
  readonly at: number;
  /** Null: no answer was sent. */
  answeredAt: number | null;
  readonly platform: SandboxPlatform;
  shopId: string | null;
  readonly method: string;
  readonly path: string;
  /** Null: no answer was sent. */
  status: number | null;
  /** The platform's own code in the answer: empty or "0" on success. */
  code: string | null;
  fault: string | null;
  /** What a stock call wanted to write. */
  entries: { itemId: string; modelId: string; quantity: number }[];
  /** What a call wanted an item's pre-order to be. */
  preOrder: { itemId: string; on: boolean } | null;
}

export interface CallFilter {
  readonly platform?: string;
  readonly shopId?: string;
  readonly pathContains?: string;
  /** Epoch ms. */
  readonly since?: number;
}

const CALLS_KEPT = 50_000;

export class ReceivedCalls {
  private calls: ReceivedCall[] = [];

  begin(platform: SandboxPlatform, method: string, path: string): ReceivedCall {
    const call: ReceivedCall = {
      at: Date.now(),
      answeredAt: null,
      platform,
      shopId: null,
      method,
      path,
      status: null,
      code: null,
      fault: null,
      entries: [],
      preOrder: null,
    };
    this.calls.push(call);
    if (this.calls.length > CALLS_KEPT) this.calls.splice(0, CALLS_KEPT / 10);
    return call;
  }

  find(filter: CallFilter): ReceivedCall[] {
    return this.calls.filter(
      (call) =>
        (filter.platform === undefined || call.platform === filter.platform) &&
        (filter.shopId === undefined || call.shopId === filter.shopId) &&
        (filter.pathContains === undefined || call.path.includes(filter.pathContains)) &&
        (filter.since === undefined || call.at >= filter.since),
    );
  }

  clear(): void {
    this.calls = [];
  }
}
