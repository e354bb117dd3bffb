/** How long to wait before something that fell is started again: longer each time, short again after a good while. */
const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const GOOD_WHILE_MS = 60_000;

export class BackOff {
  private lastAt = 0;
  private waitMs = FIRST_MS;

  /** The next wait in milliseconds. */
  nextMs(now = Date.now()): number {
    this.waitMs = now - this.lastAt > GOOD_WHILE_MS ? FIRST_MS : Math.min(this.waitMs * 2, LONGEST_MS);
    this.lastAt = now;
    return this.waitMs;
  }
}
