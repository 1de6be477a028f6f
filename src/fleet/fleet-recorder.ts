import type { Logger } from "pino";
import { Flusher } from "../backends/flusher.ts";
import type { Database } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import type { Fleet } from "./fleet.ts";
import { forgetStored, mergeStored, storeReport } from "./stored-reports.ts";

const FLUSH_INTERVAL_MS = 1_000;
/** Metrics and the sweep of credentials look at the fleet without asking for the newest. */
const MERGE_INTERVAL_MS = 5_000;
const FORGET_INTERVAL_MS = 60 * 60_000;
/** How long somebody who asks for the fleet waits for the database. */
const PATIENCE_MS = 1_000;

/** What a FleetRecorder needs; times are in milliseconds. */
export interface FleetRecorderDeps {
  readonly db: Database;
  readonly fleet: Fleet;
  readonly logger: Pick<Logger, "warn">;
  readonly now: () => Date;
  readonly intervalMs?: number;
  readonly mergeIntervalMs?: number;
  readonly patienceMs?: number;
}

/**
 * Keeps node_status and the fleet in step: what was reported here is stored, at most once a second, and what was reported to other replicas
 * of the service, or before a restart, comes in. While the database is down the fleet goes on in memory.
 */
export class FleetRecorder {
  readonly #deps: FleetRecorderDeps;
  readonly #flusher: Flusher;
  readonly #timer: NodeJS.Timeout;
  #merging: Promise<void> | undefined;
  #forgotAt = -Infinity;
  readonly #failing = { storing: false, reading: false };

  constructor(deps: FleetRecorderDeps) {
    this.#deps = deps;
    this.#flusher = new Flusher({
      flush: () => this.#flush(),
      intervalMs: deps.intervalMs ?? FLUSH_INTERVAL_MS,
      onError: (error) => this.#noteFailure("storing", error),
    });
    this.#timer = setInterval(() => void this.#merge(), deps.mergeIntervalMs ?? MERGE_INTERVAL_MS).unref();
  }

  /** There are new reports. */
  wake(): void {
    this.#flusher.wake();
  }

  /** Resolves when the fleet holds what others have stored, or the database took too long or failed to say so. Never rejects. */
  async refresh(): Promise<void> {
    const late = Promise.withResolvers<void>();
    const timer = setTimeout(late.resolve, this.#deps.patienceMs ?? PATIENCE_MS);
    await Promise.race([this.#merge(), late.promise]);
    clearTimeout(timer);
  }

  async close(): Promise<void> {
    clearInterval(this.#timer);
    await this.#flusher.close();
    await this.#merging;
  }

  async #flush(): Promise<void> {
    const { db, fleet } = this.#deps;
    for (const node of fleet.unsaved()) {
      await storeReport(db, node);
      fleet.markSaved(node);
    }
    this.#failing.storing = false;
  }

  /** Never rejects, and never runs twice at once. */
  #merge(): Promise<void> {
    this.#merging ??= this.#mergeOnce().finally(() => (this.#merging = undefined));
    return this.#merging;
  }

  async #mergeOnce(): Promise<void> {
    const { db, fleet, now } = this.#deps;
    const time = now();
    fleet.forgetSilent();
    try {
      await mergeStored(db, fleet, time);
      if (time.getTime() - this.#forgotAt >= FORGET_INTERVAL_MS) {
        await forgetStored(db, time);
        this.#forgotAt = time.getTime();
      }
      this.#failing.reading = false;
    } catch (error) {
      this.#noteFailure("reading", error);
    }
  }

  /** Once per outage. */
  #noteFailure(what: "storing" | "reading", error: unknown): void {
    if (this.#failing[what]) return;
    this.#failing[what] = true;
    const text =
      what === "storing"
        ? "node reports stay in memory: storing them failed"
        : "the fleet shows only what was reported here: reading what others stored failed";
    this.#deps.logger.warn({ err: typedDatabaseError(error) }, text);
  }
}
