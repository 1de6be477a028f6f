/** A rate limit that lets `burst` pass at once after a pause. */
export class TokenBucket {
  readonly #now: () => number;
  #rate: number;
  #burst: number;
  #tokens: number;
  #filledAt: number;

  /** @param rate tokens per second · @param now a clock in milliseconds */
  constructor(rate: number, burst: number, now: () => number = performance.now.bind(performance)) {
    this.#now = now;
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = burst;
    this.#filledAt = now();
  }

  /** A new rate counts from now; what is in the bucket stays, as far as it fits. */
  configure(rate: number, burst: number): void {
    this.#fill();
    this.#rate = rate;
    this.#burst = burst;
    this.#tokens = Math.min(this.#tokens, burst);
  }

  /** Takes a token and returns 0; without one, the milliseconds until there is one. */
  take(): number {
    this.#fill();
    if (this.#tokens < 1) return ((1 - this.#tokens) * 1000) / this.#rate;
    this.#tokens -= 1;
    return 0;
  }

  #fill(): void {
    const now = this.#now();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#filledAt) * this.#rate) / 1000);
    this.#filledAt = now;
  }
}
