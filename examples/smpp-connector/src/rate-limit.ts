import {
  ThroughputScope,
  type Throttle as ThrottleConfig,
  type Throughput,
} from "@operator-management/contract/ops/v1/session_pb.js";
import { Throttle } from "./throttle.ts";
import { TokenBucket } from "./token-bucket.ts";

const DEFAULT_WINDOW = 10;

/** One connection's rate limit, over whatever the vendor counts: the account, each endpoint or each bind. */
export class RateLimit {
  #throughput: Throughput | undefined;
  #buckets = new Map<string, TokenBucket>();
  readonly #throttle: Throttle;
  /** What the buckets are filled with. */
  #factor = 1;

  /** @param now a clock in milliseconds, of the back-off */
  constructor(throughput: Throughput | undefined, throttle?: ThrottleConfig, now: () => number = Date.now) {
    this.#throughput = throughput;
    this.#throttle = new Throttle(throttle, now);
  }

  /** Segments per second; undefined when none is configured, and then nothing may be sent. */
  get rate(): number | undefined {
    return this.#throughput?.maxSegmentsPerSecond;
  }

  /** Unanswered submit_sm allowed per bind. */
  get window(): number {
    return this.#throughput?.window ?? DEFAULT_WINDOW;
  }

  /** The rate kept to while the vendor throttles, over all that it counts; undefined: it doesn't. */
  get throttledRate(): number | undefined {
    const { factor } = this.#throttle;
    return factor < 1 && this.rate !== undefined ? this.rate * factor * Math.max(1, this.#buckets.size) : undefined;
  }

  /** Whether nothing may be sent for a moment, because the vendor throttled. */
  get isPaused(): boolean {
    return this.#throttle.isPaused;
  }

  /** The vendor said that it was too fast: a pause, then a lower rate that recovers. */
  throttled(): void {
    this.#throttle.throttled();
  }

  /** Takes effect at once, for live sessions too. */
  configure(throughput: Throughput | undefined, throttle?: ThrottleConfig): void {
    if (throughput?.scope !== this.#throughput?.scope) this.#buckets.clear();
    this.#throughput = throughput;
    this.#throttle.configure(throttle);
    for (const bucket of this.#buckets.values()) bucket.configure(...this.#limits());
  }

  /** Takes the right to send one segment and returns 0; else the milliseconds to wait for it. */
  take(endpointId: string, bindName: string): number {
    if (this.rate === undefined || this.isPaused) return Number.POSITIVE_INFINITY;
    const { factor } = this.#throttle;
    if (factor !== this.#factor) {
      this.#factor = factor;
      for (const bucket of this.#buckets.values()) bucket.configure(...this.#limits());
    }
    const scope = this.#throughput?.scope;
    const key =
      scope === ThroughputScope.BIND ? bindName : scope === ThroughputScope.ENDPOINT ? endpointId : "the account";
    let bucket = this.#buckets.get(key);
    if (bucket === undefined) {
      bucket = new TokenBucket(...this.#limits());
      this.#buckets.set(key, bucket);
    }
    return bucket.take();
  }

  #limits(): [rate: number, burst: number] {
    const rate = (this.#throughput?.maxSegmentsPerSecond ?? 0) * this.#factor;
    const burst = this.#throughput?.burst ?? Math.ceil(rate);
    // A burst of the full size right after a pause would be throttled again.
    return [rate, this.#factor < 1 ? Math.max(1, Math.min(burst, Math.floor(rate))) : burst];
  }
}
