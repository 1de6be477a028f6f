import type { Logger } from "pino";
import { driverError, sqlState } from "../db/database-error.ts";
import type { OpenDatabase } from "../db/db.ts";
import { SchemaError } from "../db/schema-level.ts";
import { CONFIG_CHANGED } from "../history/write-revision.ts";
import type { Catalog, CatalogSource } from "./catalog.ts";
import { catchUp, loadFromStandby, type CatchUpDeps, type Patience, type Reload } from "./catch-up.ts";
import { InRecoveryError } from "./load.ts";
import { RING_LIMITS, type RingLimits } from "./ring.ts";
import { SilentError } from "./unless-silent.ts";

const POLL_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;
/** A poll that takes longer makes what is in memory count as stale: before those who wait for it lose patience. */
const SLOW_POLL_MS = 1_500;
/** How long closing waits for a poll that is under way. */
const CLOSING_MS = 2_000;
const PATIENCE: Patience = { headMs: 5_000, readMs: 15_000 };

export interface TailOptions {
  readonly database: OpenDatabase;
  readonly catalog: Catalog;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
  readonly ringLimits?: RingLimits;
  readonly patience?: Patience;
}

/**
 * Keeps the catalog at the primary's head: polls every second, and at once when woken. Never queries beside its own transaction. The
 * standby is asked only for the first load, while the primary is away.
 */
export class Tail implements CatalogSource {
  /** How often the catalog was loaded as a whole, the first time included. */
  loads = 0;
  /** How many polls failed. */
  failures = 0;
  readonly #options: TailOptions;
  readonly #giveUp = new AbortController();
  readonly #work: CatchUpDeps;
  readonly #loaded = Promise.withResolvers<void>();
  #closed = false;
  #dirty = true;
  #asking: PromiseWithResolvers<void>[] = [];
  #interrupt: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #unlisten: (() => Promise<void>) | undefined;
  #lastSuccess = new Date();
  #pause = POLL_MS;
  /** Whether the last poll failed. */
  #failing = false;
  #standbyFailing = false;

  /** Begins at once; `loaded` tells when the catalog can be read. */
  static start(options: TailOptions): Tail {
    const tail = new Tail(options);
    options.catalog.follow(tail);
    tail.#running = tail.#run();
    return tail;
  }

  private constructor(options: TailOptions) {
    this.#options = options;
    const { database, catalog, ringLimits = RING_LIMITS, patience = PATIENCE } = options;
    this.#work = { database, catalog, ringLimits, patience, signal: this.#giveUp.signal };
    this.#loaded.promise.catch(() => undefined); // who waits for it hears of it
  }

  /** Resolves after the first load; rejects when closed before. */
  get loaded(): Promise<void> {
    return this.#loaded.promise;
  }

  /** Poll now; when a poll is under way, once more after it. */
  wake(): void {
    this.#dirty = true;
    this.#interrupt();
  }

  refresh(): Promise<void> {
    const asked = Promise.withResolvers<void>();
    if (this.#closed) asked.reject(new Error("the tail is closed"));
    else this.#asking.push(asked);
    this.wake();
    return asked.promise;
  }

  /** Resolves when the running poll has ended, or was given up, and nothing more will be asked of the database. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#interrupt();
    const timer = setTimeout(() => this.#giveUp.abort(new Error("the tail is closed")), CLOSING_MS);
    await this.#running;
    clearTimeout(timer);
    await this.#unlisten?.().catch((error: unknown) => {
      this.#options.logger.warn({ err: driverError(error) }, "UNLISTEN failed; the connection is closed anyway");
    });
  }

  async #run(): Promise<void> {
    while (!this.#closed) {
      this.#dirty = false;
      const asking = this.#asking;
      this.#asking = [];
      const started = new Date();
      const watchdog = setTimeout(() => this.#markStale(), SLOW_POLL_MS);
      try {
        await this.#poll();
        this.#succeeded(started);
        for (const asked of asking) asked.resolve();
      } catch (error) {
        for (const asked of asking) asked.reject(error);
        if (error instanceof SchemaError) {
          // Waiting doesn't help: somebody has to migrate the database, or to start another release.
          this.#closed = true;
          this.#loaded.reject(error);
          break;
        }
        this.#failed(error);
        await this.#startFromStandby();
      } finally {
        clearTimeout(watchdog);
      }
      await this.#sleep();
    }
    const closed = new Error("the tail is closed");
    this.#loaded.reject(closed);
    for (const asked of this.#asking) asked.reject(closed);
  }

  async #poll(): Promise<void> {
    const { database } = this.#options;
    this.#unlisten ??= await database.listen(CONFIG_CHANGED, () => this.wake());
    let reload: Reload | undefined;
    try {
      reload = await catchUp(this.#work);
    } catch (error) {
      // Not the primary any more, or frozen: the next poll shall ask whoever is the primary then, on a new connection.
      const elsewhere = error instanceof InRecoveryError || error instanceof SilentError;
      if (elsewhere || sqlState(error) === "25006") database.dropPrimary();
      throw error;
    }
    if (reload !== undefined) this.#noteLoad(reload);
    // The other connections may still lead to the server whose history this is not.
    if (reload?.forked === true) database.dropPrimary();
  }

  /** A catalog that is there answers reads, however old it is; the primary's word comes with the first poll that it answers. */
  async #startFromStandby(): Promise<void> {
    const { catalog, logger, database } = this.#options;
    if (catalog.loaded || this.#closed || database.replica === undefined) return;
    try {
      const load = await loadFromStandby(this.#work);
      if (load !== undefined) this.#noteLoad(load);
    } catch (error) {
      if (!this.#standbyFailing) logger.error({ err: driverError(error) }, "the replica can't be loaded from either");
      this.#standbyFailing = true;
    }
  }

  #noteLoad({ reason, before, damaged }: Reload): void {
    const { catalog, logger } = this.#options;
    if (damaged.length > 0) {
      logger.error({ operators: damaged }, "records don't decode and are not served: VerifyHistory says where");
    }
    this.loads++;
    const facts = { reason, before, revision: catalog.position.revision, operators: catalog.size };
    if (before === undefined) logger.info(facts, "catalog loaded");
    else logger.warn(facts, "catalog loaded again");
    this.#loaded.resolve();
  }

  #succeeded(started: Date): void {
    const { catalog, logger } = this.#options;
    if (catalog.staleSince !== undefined) logger.info({ staleSince: catalog.staleSince }, "the primary answers again");
    catalog.staleSince = undefined;
    this.#failing = false;
    this.#lastSuccess = started;
    this.#pause = POLL_MS;
  }

  #failed(error: unknown): void {
    const { catalog, logger } = this.#options;
    this.failures++;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    // Not by staleSince: what is slow before it fails is marked already.
    if (!this.#failing) {
      const err = driverError(error);
      if (catalog.loaded) logger.warn({ err }, "the primary can't be read: serving from memory, marked stale");
      else
        logger.error(
          { err },
          "the primary can't be read, and nothing is loaded yet that could be served; trying again",
        );
    }
    this.#failing = true;
    this.#markStale();
  }

  #markStale(): void {
    this.#options.catalog.staleSince ??= this.#lastSuccess;
  }

  async #sleep(): Promise<void> {
    if (this.#dirty || this.#closed) return;
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#pause);
      this.#interrupt = () => {
        clearTimeout(timer);
        resolve();
      };
    });
    this.#interrupt = () => undefined;
  }
}
