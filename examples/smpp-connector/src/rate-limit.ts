import { ThroughputScope, type Throughput } from "@operator-management/contract/ops/v1/session_pb.js";
import { TokenBucket } from "./token-bucket.ts";

const DEFAULT_WINDOW = 10;

/** One connection's rate limit, over whatever the vendor counts: the account, each endpoint or each bind. */
export class RateLimit {
  #throughput: Throughput | undefined;
  #buckets = new Map<string, TokenBucket>();

  constructor(throughput: Throughput | undefined) {
    this.#throughput = throughput;
  }

  /** Segments per second; undefined when none is configured, and then nothing may be sent. */
  get rate(): number | undefined {
    return this.#throughput?.maxSegmentsPerSecond;
  }

  /** Unanswered submit_sm allowed per bind. */
  get window(): number {
    return this.#throughput?.window ?? DEFAULT_WINDOW;
  }

  /** Takes effect at once, for live sessions too. */
  configure(throughput: Throughput | undefined): void {
    if (throughput?.scope !== this.#throughput?.scope) this.#buckets.clear();
    this.#throughput = throughput;
    for (const bucket of this.#buckets.values()) bucket.configure(...this.#limits());
  }

  /** Takes the right to send one segment and returns 0; else the milliseconds to wait for it. */
  take(endpointId: string, bindName: string): number {
    if (this.rate === undefined) return Number.POSITIVE_INFINITY;
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
    const rate = this.#throughput?.maxSegmentsPerSecond ?? 0;
    return [rate, this.#throughput?.burst ?? Math.ceil(rate)];
  }
}
