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
  'floor',
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
  /** `slow`, `hang`, `push_shuffle`: how long. Milliseconds. */
  readonly delayMs?: number;
  /** `throttle`: what the platform asks to wait. Seconds. */
  readonly retryAfterS?: number;
  /** `partial_failure`, `floor`: model or item ids; the first entry of the call, or all, where absent. */
  readonly items?: readonly string[];
  /** `floor`: the quantity below which nothing may be written. */
  readonly floor?: number;
  /** `floor`: the refusal doesn't say the quantity. */
  readonly silent?: boolean;
  /** `push_duplicate`: how many copies in all. */
  readonly copies?: number;
}

export interface FaultTarget {
  readonly shopId: string | null;
  readonly path: string;
}

/** The active faults of both platforms. */
export class Faults {
  private active: { platform: SandboxPlatform; fault: Fault; left: number }[] = [];

  add(platform: SandboxPlatform, fault: Fault): void {
    this.active.push({ platform, fault, left: fault.times ?? Number.POSITIVE_INFINITY });
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
    if (!entry) return undefined;
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
