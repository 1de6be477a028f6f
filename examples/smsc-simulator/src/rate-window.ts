const SECOND = 1000;

/** Counts what was let through in the last second. */
export class RateWindow {
  /** Times, oldest first. */
  readonly #passed: number[] = [];

  /** Whether one more at `now` (milliseconds) keeps to `perSecond`, and if so counts it. */
  admits(perSecond: number, now: number): boolean {
    while ((this.#passed[0] ?? now) <= now - SECOND) this.#passed.shift();
    if (this.#passed.length >= perSecond) return false;
    this.#passed.push(now);
    return true;
  }
}
