import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { CallOptions } from "@connectrpc/connect";
import type { ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import type { MeshClient } from "./clients.ts";
import { HealthTable } from "./health/health-table.ts";
import { listen } from "./listen.ts";
import type { Logger } from "./logger.ts";
import { delayMs, stepAfter } from "./reconnect.ts";
import type { HealthView } from "./routes/health-view.ts";
import { pause, soon } from "./timers.ts";

const MISSED_HEARTBEATS = 3;
/** A stream that lasted so long was none that fails as soon as it begins. */
const SETTLED_MS = 1_000;

/** What is followed, and how. */
export interface HealthFollowerOptions {
  readonly client: MeshClient;
  /** Operators, at most 100. Default: all. */
  readonly operatorIds?: readonly string[];
  /** Also each observer's view: its binds and figures. Costs traffic. Default: false. */
  readonly includeObservers?: boolean;
  /** Longest time between two messages of the service, in milliseconds, 1,000 to 60,000. Default: 10,000. */
  readonly heartbeatIntervalMs?: number;
  /**
   * After so long without a message every link's health is UNKNOWN, in milliseconds. Default: 30,000, when the service would say so of
   * nodes that report every 10 s.
   */
  readonly staleAfterMs?: number;
  readonly logger?: Logger;
  /** The clock, in milliseconds since 1970. Default: Date.now. */
  readonly now?: () => number;
}

/** How a follower stands; a copy. */
export interface HealthStatus {
  /** Whether the service is being heard right now. */
  readonly connected: boolean;
  /** Whether the health of all links was ever received. */
  readonly complete: boolean;
  /** The moment for which the service computed what is held. */
  readonly healthTime?: Date;
  /** Milliseconds since something was heard; absent before that. */
  readonly healthAgeMs?: number;
  /** Since when every link counts as UNKNOWN because nothing is heard. */
  readonly staleSince?: Date;
  /** What ended the last stream; absent once the service is heard again. */
  readonly lastError?: Error;
}

/**
 * The health of the links in this process, kept current by a watch. Reading never waits and never fails: without the service what was heard
 * last holds for a while, then all links are UNKNOWN, which lowers routes and excludes none. Keeps no process alive.
 */
export class HealthFollower implements HealthView, AsyncDisposable {
  readonly #options: HealthFollowerOptions;
  readonly #heartbeatMs: number;
  readonly #table: HealthTable;
  readonly #closing = new AbortController();
  readonly #first = Promise.withResolvers<void>();
  readonly #following: Promise<void>;
  #connected = false;
  #lastError: Error | undefined;

  private constructor(options: HealthFollowerOptions) {
    this.#options = options;
    this.#heartbeatMs = options.heartbeatIntervalMs ?? 10_000;
    this.#table = new HealthTable(options.staleAfterMs ?? 30_000);
    this.#following = this.#follow();
  }

  /** Starts to follow. It may be read at once: what isn't known yet counts as UNKNOWN. */
  static start(options: HealthFollowerOptions): HealthFollower {
    return new HealthFollower(options);
  }

  get status(): HealthStatus {
    const now = this.#now();
    const { isComplete, healthTime, heardAt } = this.#table;
    const staleSince = this.#table.staleSince(now);
    return {
      connected: this.#connected,
      complete: isComplete,
      ...(healthTime && { healthTime }),
      ...(heardAt !== undefined && { healthAgeMs: Math.max(0, now - heardAt) }),
      ...(staleSince && { staleSince }),
      ...(this.#lastError && { lastError: this.#lastError }),
    };
  }

  /** Resolves when the health of all links is known, or after the time, whichever is first; says whether it is. */
  async ready({ timeoutMs = 10_000 } = {}): Promise<boolean> {
    const waited = new AbortController();
    await Promise.race([this.#first.promise, pause(timeoutMs, waited.signal, soon)]);
    waited.abort();
    return this.#table.isComplete;
  }

  /** A link's health now; frozen. Undefined: nothing is known of it. */
  of(operatorId: string, operatorUid: string, connectionId: string): ConnectionHealth | undefined {
    return this.at(new Date(this.#now())).of(operatorId, operatorUid, connectionId);
  }

  /** All links' health at a moment; it stays as it is until the next message is taken. */
  at(now: Date): HealthView {
    return this.#table.at(now.getTime());
  }

  /** Ends the watch. What was read stays readable, and ages. May be called again. */
  async close(): Promise<void> {
    this.#closing.abort();
    this.#first.resolve();
    await this.#following;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #now(): number {
    return (this.#options.now ?? Date.now)();
  }

  async #follow(): Promise<void> {
    const { signal } = this.#closing;
    let failures = 0;
    while (!signal.aborted) {
      const started = performance.now();
      const { error, heard } = await this.#once();
      this.#connected = false;
      if (signal.aborted) return;
      const step = stepAfter(error, heard);
      if (heard && performance.now() - started >= SETTLED_MS) failures = 0;
      this.#lost(error, step.permanent);
      await pause(delayMs(step, failures), signal);
      failures += 1;
    }
  }

  /** One stream, from its snapshot on; resolves to why it ended, and whether anything was heard. */
  async #once(): Promise<{ readonly error: Error; readonly heard: boolean }> {
    const { client, operatorIds = [], includeObservers = false } = this.#options;
    const heartbeatInterval = durationFromMs(this.#heartbeatMs);
    const request = { operatorIds: [...operatorIds], includeObservers, heartbeatInterval };
    const open = (options: CallOptions) => client.watchHealth(request, options);
    const silenceMs = MISSED_HEARTBEATS * this.#heartbeatMs;
    let heard = false;
    this.#table.begin();
    const { signal } = this.#closing;
    const error = await listen({ open, silenceMs, who: "the follower", signal }, (message) => {
      heard = true;
      this.#heard();
      this.#table.take(message, this.#now());
      if (this.#table.isComplete) this.#first.resolve();
    });
    return { error, heard };
  }

  #heard(): void {
    if (this.#lastError !== undefined) this.#options.logger?.info({}, "the service's health is heard again");
    this.#lastError = undefined;
    this.#connected = true;
  }

  #lost(error: Error, permanent: boolean): void {
    // An outage is told once, not at each of its many attempts.
    const isNew = this.#lastError?.message !== error.message;
    this.#lastError = error;
    const { logger } = this.#options;
    if (permanent) logger?.error({ err: error }, "the service refuses the watch of health; trying again slowly");
    else if (isNew) logger?.info({ err: error }, "the watch of health ended; reconnecting");
  }
}
