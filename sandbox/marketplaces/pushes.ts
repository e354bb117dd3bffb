/** Signed pushes to the hub, retried as the vendors do while the answer is not 2xx. */
import { randomUUID } from 'node:crypto';
import pLimit from 'p-limit';
import { lazadaOrderPush, lazadaPushSignature } from './lazada';
import { shopeeOrderPush, shopeePushSignature } from './shopee';
import type { SandboxOrder, SandboxPlatform, SandboxPush, SandboxShop } from './state';
import { toVendorJson, type World } from './world';

export interface PushTiming {
  /** Pauses before the second, third… try. Milliseconds. */
  readonly retryMs: readonly number[];
  /** How long an answer may take, by platform. Milliseconds. Lazada's is 500. */
  readonly timeoutMs: Readonly<Record<SandboxPlatform, number>>;
}

/** The vendors' behaviour with minutes made short: Lazada tries 12 times more, half an hour apart. */
export const DEFAULT_PUSH_TIMING: PushTiming = {
  retryMs: [500, 1000, 2000, 4000, 8000, 15_000, 30_000, 30_000, 60_000, 60_000, 60_000, 60_000],
  timeoutMs: { shopee: 3000, lazada: 500 },
};

const SHUFFLE_MS = 500;
/** How many pushes a platform sends to one hub at a time: the time limit counts from the sending, not from the queue. */
const SENT_AT_ONCE = 16;

export class Pushes {
  private readonly timers = new Set<NodeJS.Timeout>();
  private readonly shuffled = new Map<SandboxPlatform, { pushes: SandboxPush[]; timer: NodeJS.Timeout }>();
  private readonly senders = new Map<SandboxPlatform, ReturnType<typeof pLimit>>();
  private closed = false;

  constructor(
    private readonly world: World,
    private readonly timing: PushTiming,
  ) {}

  /** Goes on with what an earlier run left pending. */
  resume(): void {
    for (const push of this.world.store.state.pushes) if (push.state === 'pending') this.schedule(push, 0);
  }

  /** Tells the hub about the order's present state: one message for Shopee, one per line for Lazada. */
  announce(order: SandboxOrder, shop: SandboxShop): SandboxPush[] {
    const now = this.world.now();
    const bodies = order.platform === 'shopee' ? shopeeOrderPush(order, now) : lazadaOrderPush(order, shop, now);
    return bodies.map((body) => {
      const push: SandboxPush = {
        id: randomUUID(),
        platform: order.platform,
        shopId: order.shopId,
        orderNumber: order.orderNumber,
        body: toVendorJson(body),
        state: this.world.store.state.callbackBaseUrl === null ? 'unsent' : 'pending',
        attempts: [],
      };
      this.world.store.state.pushes.push(push);
      this.world.store.changed();
      if (push.state === 'pending') this.dispatch(push);
      return push;
    });
  }

  /** Sends a push again, `times` times, at once or one after the other; the HTTP statuses (null: no answer). */
  async repeat(push: SandboxPush, times: number, parallel: boolean): Promise<(number | null)[]> {
    if (parallel) return Promise.all(Array.from({ length: times }, () => this.post(push)));
    const statuses: (number | null)[] = [];
    for (let time = 0; time < times; time += 1) statuses.push(await this.post(push));
    return statuses;
  }

  /** Forgets all that waits. */
  reset(): void {
    for (const timer of this.timers) clearTimeout(timer);
    this.timers.clear();
    for (const sender of this.senders.values()) sender.clearQueue();
    for (const { timer } of this.shuffled.values()) clearTimeout(timer);
    this.shuffled.clear();
  }

  close(): void {
    this.closed = true;
    this.reset();
  }

  private dispatch(push: SandboxPush): void {
    const target = { shopId: push.shopId, path: '/push' };
    const { faults } = this.world;
    if (faults.take(push.platform, 'push_drop', target)) {
      this.lose(push, 'dropped');
      return;
    }
    const duplicate = faults.take(push.platform, 'push_duplicate', target);
    for (let copy = 1; copy < (duplicate ? (duplicate.copies ?? 2) : 1); copy += 1) void this.post(push);
    const shuffle = faults.take(push.platform, 'push_shuffle', target);
    if (shuffle || this.shuffled.has(push.platform)) this.shuffle(push, shuffle?.delayMs ?? SHUFFLE_MS);
    else this.schedule(push, 0);
  }

  /** Holds what comes within the delay and sends it in reverse order. */
  private shuffle(push: SandboxPush, delayMs: number): void {
    const held = this.shuffled.get(push.platform);
    if (held) {
      held.pushes.push(push);
      return;
    }
    const pushes = [push];
    const timer = setTimeout(async () => {
      this.shuffled.delete(push.platform);
      for (const late of pushes.reverse()) await this.attempt(late);
    }, delayMs);
    this.shuffled.set(push.platform, { pushes, timer });
  }

  private schedule(push: SandboxPush, waitMs: number): void {
    if (this.closed) return;
    const timer = setTimeout(() => {
      this.timers.delete(timer);
      void this.inTurn(push);
    }, waitMs);
    this.timers.add(timer);
  }

  private inTurn(push: SandboxPush): Promise<void> {
    let sender = this.senders.get(push.platform);
    if (!sender) {
      sender = pLimit(SENT_AT_ONCE);
      this.senders.set(push.platform, sender);
    }
    return sender(() => this.attempt(push));
  }

  private async attempt(push: SandboxPush): Promise<void> {
    if (this.closed || push.state !== 'pending') return;
    const status = await this.post(push);
    if (this.closed || push.state !== 'pending') return;
    if (status !== null && status >= 200 && status < 300) {
      push.state = 'delivered';
      this.world.store.changed();
      return;
    }
    const waitMs = this.timing.retryMs[push.attempts.length - 1];
    if (waitMs === undefined) this.lose(push, 'given_up');
    else this.schedule(push, waitMs);
    this.world.store.changed();
  }

  /** Not taken, and not tried again. */
  private lose(push: SandboxPush, state: 'dropped' | 'given_up'): void {
    push.state = state;
    push.lostAt = this.world.now();
    push.messageId = this.world.store.number();
    this.world.store.changed();
  }

  private async post(push: SandboxPush): Promise<number | null> {
    const base = this.world.store.state.callbackBaseUrl;
    if (base === null) return null;
    const url = `${base}/v1/webhooks/${push.platform}`;
    const signature =
      push.platform === 'shopee'
        ? shopeePushSignature(this.world, url, push.body)
        : lazadaPushSignature(this.world, push.body);
    const at = this.world.now();
    let status: number | null = null;
    try {
      const answer = await fetch(url, {
        method: 'POST',
        headers: { 'Content-Type': 'application/json', Authorization: signature },
        body: push.body,
        redirect: 'manual',
        signal: AbortSignal.timeout(this.timing.timeoutMs[push.platform]),
      });
      status = answer.status;
      await answer.arrayBuffer();
    } catch {
      this.world.log('push not taken', { platform: push.platform, order: push.orderNumber });
    }
    push.attempts.push({ at, status, durationMs: this.world.now() - at });
    return status;
  }
}
