import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import type { ConnectionLimits } from "./one-port.ts";
import { opsError } from "./errors.ts";

/** How often one caller may call. */
export interface RateLimit {
  readonly perSecond: number;
  /** How many calls may come at once after a pause. */
  readonly burst: number;
}

/** What one side of the port takes from its callers. */
export interface SideLimits {
  readonly rate: RateLimit;
  /** Calls of one caller in flight at once. */
  readonly maxConcurrentCalls: number;
  /** Bytes of one request message, decompressed. */
  readonly readMaxBytes: number;
  /** Bytes of one reply message. */
  readonly writeMaxBytes: number;
}

/** All bounds of the port. Times in milliseconds. */
export interface EdgeLimits {
  readonly connection: ConnectionLimits;
  readonly admin: SideLimits;
  readonly mesh: SideLimits;
  /** Open server streams (watches) of this process, and of one caller. */
  readonly maxStreams: number;
  readonly maxStreamsPerCaller: number;
  /** Deadline of a unary call whose client sends none. */
  readonly defaultTimeoutMs: number;
  /** Longest deadline that a client of a unary call may ask for. */
  readonly maxTimeoutMs: number;
  /** Both of the above for methods that are known to take long, by `service/method`. */
  readonly slowMethodTimeoutMs: Readonly<Record<string, number>>;
}

/** Generous for honest callers, finite for others. */
export const defaultLimits: EdgeLimits = {
  connection: {
    maxConnections: 4_096,
    sniffTimeoutMs: 10_000,
    headersTimeoutMs: 10_000,
    requestTimeoutMs: 65_000,
    idleTimeoutMs: 330_000,
    keepAliveTimeoutMs: 75_000,
    checkIntervalMs: 5_000,
    maxHeaderBytes: 16_384,
    maxStreamsPerConnection: 256,
    streamResetBurst: 500,
    streamResetRate: 50,
  },
  admin: {
    rate: { perSecond: 200, burst: 400 },
    maxConcurrentCalls: 256,
    readMaxBytes: 4 * 1_048_576,
    // A page stops at 3 MiB in binary; the same in JSON is several times that.
    writeMaxBytes: 16 * 1_048_576,
  },
  mesh: {
    rate: { perSecond: 5_000, burst: 10_000 },
    maxConcurrentCalls: 2_048,
    readMaxBytes: 4 * 1_048_576,
    // What gRPC clients take unless told otherwise.
    writeMaxBytes: 4 * 1_048_576,
  },
  maxStreams: 2_048,
  maxStreamsPerCaller: 1_024,
  defaultTimeoutMs: 10_000,
  maxTimeoutMs: 60_000,
  slowMethodTimeoutMs: { "ops.v1.OperatorAdminService/VerifyHistory": 300_000 },
};

/** Callers whose buckets are kept. The one unused for longest goes first: it is the likeliest to be full again anyway. */
const MAX_CALLERS = 10_000;

/** A token bucket per caller. */
export class RateLimiter {
  readonly #buckets = new Map<string, { tokens: number; time: number }>();
  readonly #now: () => number;

  /** @param now milliseconds on a monotonic clock */
  constructor(now: () => number = () => performance.now()) {
    this.#now = now;
  }

  /** Takes one token of a caller's. @throws RATE_LIMITED with when the next one is there */
  take(caller: string, limit: RateLimit): void {
    const now = this.#now();
    const bucket = this.#buckets.get(caller) ?? { tokens: limit.burst, time: now };
    bucket.tokens = Math.min(limit.burst, bucket.tokens + ((now - bucket.time) / 1_000) * limit.perSecond);
    bucket.time = now;
    this.#keep(caller, bucket);
    if (bucket.tokens < 1) {
      const retryAfterMs = Math.ceil(((1 - bucket.tokens) / limit.perSecond) * 1_000);
      throw opsError(
        ErrorReason.RATE_LIMITED,
        `more than ${limit.perSecond} calls a second; wait ${retryAfterMs} ms, then call more slowly`,
        { retryAfterMs, metadata: { per_second: String(limit.perSecond) } },
      );
    }
    bucket.tokens -= 1;
  }

  #keep(caller: string, bucket: { tokens: number; time: number }): void {
    this.#buckets.delete(caller);
    this.#buckets.set(caller, bucket);
    if (this.#buckets.size <= MAX_CALLERS) return;
    const [oldest] = this.#buckets.keys();
    if (oldest !== undefined) this.#buckets.delete(oldest);
  }
}

/** Counts what is open, in total and per caller. */
export class Places {
  readonly #byCaller = new Map<string, number>();
  #total = 0;

  /** What is open now. */
  get total(): number {
    return this.#total;
  }

  /** Takes a place, or refuses with the error for what is full. Returns the function that gives it back; call it once. */
  take(caller: string, max: { total: number; perCaller: number }, full: (limit: number) => Error): () => void {
    const own = this.#byCaller.get(caller) ?? 0;
    if (this.#total >= max.total) throw full(max.total);
    if (own >= max.perCaller) throw full(max.perCaller);
    this.#total += 1;
    this.#byCaller.set(caller, own + 1);
    return () => {
      this.#total -= 1;
      const left = (this.#byCaller.get(caller) ?? 1) - 1;
      if (left === 0) this.#byCaller.delete(caller);
      else this.#byCaller.set(caller, left);
    };
  }
}

/** TOO_MANY_STREAMS. */
export function tooManyStreams(limit: number): Error {
  return opsError(
    ErrorReason.TOO_MANY_STREAMS,
    `${limit} streams are open already; close one, or try another replica`,
    {
      metadata: { limit: String(limit) },
      retryAfterMs: 5_000,
    },
  );
}

/** RATE_LIMITED for calls at the same time. */
export function tooManyCalls(limit: number): Error {
  return opsError(ErrorReason.RATE_LIMITED, `${limit} calls are in flight already; wait for one to end`, {
    metadata: { concurrent: String(limit) },
    retryAfterMs: 100,
  });
}
