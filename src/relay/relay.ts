import { setTimeout as delay } from "node:timers/promises";
import type { Position } from "@operator-management/client";
import type { Logger } from "pino";
import type { Bus } from "../backends/bus/bus.ts";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { databaseFailure, driverError } from "../db/database-error.ts";
import type { HeldLock, OpenDatabase } from "../db/db.ts";
import { Outage } from "./outage.ts";
import { isComplete, type Place } from "./place.ts";
import { Publisher } from "./publisher.ts";
import { RELAY_TIMES, type RelayTimes } from "./relay-times.ts";

/** The longest that a publisher steps back for another one, in milliseconds. */
const YIELD_MS = 100;

/** What the relay needs. */
export interface RelayOptions {
  readonly database: Pick<OpenDatabase, "db" | "tryLock" | "dropPrimary">;
  readonly bus: Bus;
  readonly catalog: Pick<Catalog, "loaded" | "position" | "staleSince" | "subscribe">;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
  readonly times?: RelayTimes;
  /** Records above this size, in bytes, are told by reference. */
  readonly maxBytes?: number;
}

/**
 * Tells every change of configuration on the bus, in order, and keeps the stream at what history says. One process of all does it at a time,
 * by a lock that only saves the others the work: whoever publishes must know the stream's end, so two of them, or one that was frozen,
 * do no harm.
 */
export class Relay {
  readonly #options: RelayOptions;
  readonly #times: RelayTimes;
  readonly #publisher: Publisher;
  readonly #outage: Outage;
  readonly #stopping = new AbortController();
  readonly #unsubscribe: () => void;
  readonly #running: Promise<void>;
  #lock: HeldLock | undefined;
  #woken = false;
  #interrupt: () => void = () => undefined;
  #lookedAt = -Infinity;
  #behindSince: number | undefined;
  /** Publishing without the lock, because its holder doesn't. */
  #standsIn = false;
  #reconcileAt: number;

  /** Begins at once. The catalog's changes wake it. */
  static start(options: RelayOptions): Relay {
    return new Relay(options);
  }

  private constructor(options: RelayOptions) {
    this.#options = options;
    this.#times = options.times ?? RELAY_TIMES;
    this.#outage = new Outage(options.logger, this.#times);
    this.#reconcileAt = performance.now() + this.#times.reconcileSoon;
    this.#publisher = new Publisher(options);
    this.#unsubscribe = options.catalog.subscribe(() => {
      this.#woken = true;
      this.#interrupt();
    });
    this.#running = this.#run();
  }

  /** Whether this process holds the lock. */
  get leads(): boolean {
    return this.#lock?.lost.aborted === false;
  }

  /** How many revisions the catalog has that the stream, as this process saw it last, hasn't. All of them when that is unknown. */
  get lag(): number {
    const { catalog } = this.#options;
    if (!catalog.loaded) return 0;
    const behind = catalog.position.revision - this.#publisher.told;
    return behind > 0n ? Number(behind) : 0;
  }

  /** Messages published since the start. */
  get published(): number {
    return this.#publisher.published;
  }

  /** How often everything was told anew. */
  get resets(): number {
    return this.#publisher.resets;
  }

  /** Operators that a comparison has found wrong in the stream. */
  get repairs(): number {
    return this.#publisher.repairs;
  }

  /** Stops; resolves when nothing more will be asked of bus and database. */
  async close(): Promise<void> {
    this.#unsubscribe();
    this.#stopping.abort();
    this.#interrupt();
    await this.#running;
    await this.#lock?.release().catch((error: unknown) => {
      this.#options.logger.warn({ err: driverError(error) }, "the relay's lock goes with its connection");
    });
  }

  async #run(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        this.#woken = false;
        const published = await this.#turn(signal);
        if (published || this.#isUpToDate()) this.#outage.ended(this.lag);
        await this.#sleep(signal);
      } catch (error) {
        if (signal.aborted) break;
        const pause = this.#outage.failed(error, this.lag);
        await delay(pause, undefined, { signal }).catch(() => undefined); // aborted: the loop ends
      }
    }
  }

  /** Does all that there is to do, if it is this process's turn; false when it isn't. */
  async #turn(signal: AbortSignal): Promise<boolean> {
    const now = performance.now();
    const isDue = now - this.#lookedAt >= this.#times.poll;
    if (isDue) await this.#tryToLead();
    // Whoever publishes looks each time: what is appended to a stream that was emptied would make it look well.
    if (isDue || this.leads || this.#standsIn) {
      const changed = await this.#publisher.look(signal);
      if (isDue) this.#standsIn = !this.leads && this.#isLeftAlone(changed);
      else if (changed) this.#standsIn = false;
    }
    if (isDue) this.#lookedAt = now;
    if (!this.leads && !this.#standsIn) return false;
    await this.#publishAll(signal);
    if (performance.now() < this.#reconcileAt) return true;
    const step = await this.#publisher.reconcile(signal);
    this.#reconcileAt = performance.now() + this.#times.reconcile;
    if (step === "overtaken") this.#reconcileWithin(this.#times.reconcileSoon);
    return true;
  }

  async #publishAll(signal: AbortSignal): Promise<void> {
    const { resets } = this;
    for (;;) {
      const step = await this.#publisher.advance(signal);
      if (step === "done") break;
      if (step === "published") continue;
      this.#reconcileWithin(this.#times.reconcileSoon);
      this.#standsIn = false;
      await delay(Math.random() * YIELD_MS, undefined, { signal });
      if (!this.leads) return;
    }
    if (this.resets !== resets) this.#reconcileWithin(0);
  }

  async #tryToLead(): Promise<void> {
    if (this.leads) return;
    try {
      this.#lock = await this.#options.database.tryLock("relay");
    } catch (error) {
      // The lock only saves work, and the next look tries again; whether changes can be read is found out by reading them.
      if (databaseFailure(error) === undefined) throw error;
    }
    if (this.leads) this.#options.logger.info("this process relays changes to the bus");
  }

  /** Whether the stream has been behind for long, without any progress by others: whoever has the lock is frozen. */
  #isLeftAlone(changed: boolean): boolean {
    const { catalog, logger } = this.#options;
    if (this.#standsIn && !changed) return true;
    if (!catalog.loaded || catalog.staleSince !== undefined || this.#isUpToDate()) {
      this.#behindSince = undefined;
      return false;
    }
    const now = performance.now();
    if (changed) this.#behindSince = now;
    this.#behindSince ??= now;
    if (now - this.#behindSince < this.#times.stall) return false;
    logger.warn({ lag: this.lag }, "another process has the relay's lock, but doesn't publish: standing in for it");
    return true;
  }

  /** Whether the stream, as it was seen last, holds all that the database, as the catalog saw it last, has. */
  #isUpToDate(): boolean {
    const { catalog } = this.#options;
    if (!catalog.loaded || catalog.staleSince !== undefined) return false;
    return isTold(catalog.position, this.#publisher.end?.place);
  }

  #reconcileWithin(ms: number): void {
    this.#reconcileAt = Math.min(this.#reconcileAt, performance.now() + ms);
  }

  async #sleep(signal: AbortSignal): Promise<void> {
    if (this.#woken || signal.aborted) return;
    const { promise, resolve } = Promise.withResolvers<void>();
    const timer = setTimeout(resolve, this.#times.poll);
    this.#interrupt = resolve;
    await promise;
    clearTimeout(timer);
    this.#interrupt = () => undefined;
  }
}

function isTold({ revision, fingerprint }: Position, place: Place | undefined): boolean {
  if (place === undefined || !isComplete(place)) return false;
  const { position } = place;
  return (
    position.revision > revision || (position.revision === revision && sameBytes(position.fingerprint, fingerprint))
  );
}
