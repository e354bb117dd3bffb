/** Faults on demand: what goes wrong, for whom, and how often. */
import type { SandboxPlatform } from './state';

export const FAULT_KINDS = [
  'down',
  'hang',
  'slow',
  'error500',
  'throttle',
  'garbage',
  'expire_token',
  'revoke_refresh',
  'partial_failure',
  'lost_answer',
  'not_done_yet',
  'floor',
  'refuse_pre_order',
  'push_drop',
  'push_duplicate',
  'push_shuffle',
] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export interface Fault {
  readonly kind: FaultKind;
  /** Only calls of this shop. */
  readonly shopId?: string;
  /** Only calls whose path holds this text. */
  readonly pathContains?: string;
  /** How often it happens; until it is cleared where absent. */
  readonly times?: number;
  /** It hits this share of what it could hit, 0 to 1; all where absent. */
  readonly rate?: number;
  /** With `rate`: the same seed hits the same ones. */
  readonly seed?: number;
  /** `slow`, `hang`, `push_shuffle`: how long. Milliseconds. */
  readonly delayMs?: number;
  /** `throttle`: what the platform asks to wait. Seconds. */
  readonly retryAfterS?: number;
  /** `partial_failure`, `floor`, `refuse_pre_order`: model or item ids; the first entry of the call, or all, where absent. */
  readonly items?: readonly string[];
  /** `floor`: the quantity below which nothing may be written. */
  readonly floor?: number;
  /** `floor`: the refusal doesn't say the quantity. */
  readonly silent?: boolean;
  /** `partial_failure`: they are not refused for good, the platform is busy. */
  readonly busy?: boolean;
  /** `push_duplicate`: how many copies in all. */
  readonly copies?: number;
}

export interface FaultTarget {
  readonly shopId: string | null;
  readonly path: string;
}

/** Numbers from 0 to 1 that look drawn, the same for the same seed (mulberry32). */
function drawsOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** The active faults of both platforms. */
export class Faults {
  private active: { platform: SandboxPlatform; fault: Fault; left: number; draw: () => number }[] = [];

  add(platform: SandboxPlatform, fault: Fault): void {
    this.active.push({
      platform,
      fault,
      left: fault.times ?? Number.POSITIVE_INFINITY,
      draw: drawsOf(fault.seed ?? 1),
    });
  }

  list(platform: SandboxPlatform): (Fault & { left: number | null })[] {
    return this.active
      .filter((entry) => entry.platform === platform)
      .map((entry) => ({ ...entry.fault, left: Number.isFinite(entry.left) ? entry.left : null }));
  }

  clear(platform?: SandboxPlatform, kind?: FaultKind): void {
    this.active = this.active.filter(
      (entry) => !((platform ?? entry.platform) === entry.platform && (kind ?? entry.fault.kind) === entry.fault.kind),
    );
  }

  /** The fault that hits this target, if any; counts it. */
  take(platform: SandboxPlatform, kind: FaultKind, target: FaultTarget): Fault | undefined {
    const entry = this.find(platform, kind, target);
    if (!entry || (entry.fault.rate !== undefined && entry.draw() >= entry.fault.rate)) return undefined;
    entry.left -= 1;
    if (entry.left <= 0) this.active = this.active.filter((other) => other !== entry);
    return entry.fault;
  }

  /** The same without counting it. */
  peek(platform: SandboxPlatform, kind: FaultKind, target: FaultTarget): Fault | undefined {
    return this.find(platform, kind, target)?.fault;
  }

  private find(platform: SandboxPlatform, kind: FaultKind, target: FaultTarget) {
    return this.active.find(
      ({ platform: of, fault }) =>
        of === platform &&
        fault.kind === kind &&
        (fault.shopId === undefined || fault.shopId === target.shopId) &&
        (fault.pathContains === undefined || target.path.includes(fault.pathContains)),
    );
  }
}
