import type { Position } from "@operator-management/client";
import type { Logger } from "pino";
import type { OpenDatabase } from "../db/db.ts";
import { driverError } from "../db/database-error.ts";
import { CONFIG_CHANGED } from "../history/write-revision.ts";
import { sameBytes } from "./bytes.ts";
import type { Catalog, CatalogSource } from "./catalog.ts";
import { loadCatalog, readHead } from "./load.ts";
import { readLinks } from "./read-links.ts";
import { RING_LIMITS, type RingLimits } from "./ring.ts";

const POLL_MS = 1_000;
const LONGEST_PAUSE_MS = 5_000;
/** A poll that takes longer makes what is in memory count as stale: before those who wait for it lose patience. */
const SLOW_POLL_MS = 1_500;

export interface TailOptions {
  readonly database: OpenDatabase;
  readonly catalog: Catalog;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
  readonly ringLimits?: RingLimits;
}

/** Keeps the catalog at the primary's head: polls every second, and at once when woken. Never queries beside its own transaction. */
export class Tail implements CatalogSource {
  /** How often the catalog was loaded as a whole, the first time included. */
  loads = 0;
  /** How many polls failed. */
  failures = 0;
  readonly #options: TailOptions;
  readonly #loaded = Promise.withResolvers<void>();
  #closed = false;
  #dirty = true;
  #asking: PromiseWithResolvers<void>[] = [];
  #interrupt: () => void = () => undefined;
  #running: Promise<void> = Promise.resolve();
  #unlisten: (() => Promise<void>) | undefined;
  #lastSuccess = new Date();
  #pause = POLL_MS;

  /** Begins at once; `loaded` tells when the catalog can be read. */
  static start(options: TailOptions): Tail {
    const tail = new Tail(options);
    options.catalog.follow(tail);
    tail.#running = tail.#run();
    return tail;
  }

  private constructor(options: TailOptions) {
    this.#options = options;
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

  /** Resolves when the running poll has ended and nothing more will be asked of the database. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#interrupt();
    await this.#running;
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
        this.#failed(error);
        for (const asked of asking) asked.reject(error);
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
    const { database, catalog } = this.#options;
    this.#unlisten ??= await database.listen(CONFIG_CHANGED, () => this.wake());
    const { position: head, inRecovery } = await readHead(database.tail);
    if (inRecovery) {
      database.dropPrimary();
      throw new Error("the database is a standby: the primary has moved");
    }
    if (!catalog.loaded) await this.#load("start");
    else if (!sameBytes(head.store, catalog.position.store)) await this.#load("another store");
    else if (head.revision < catalog.position.revision) await this.#load("the head went back");
    else if (head.revision > catalog.position.revision) await this.#follow(head);
    else if (!sameBytes(head.fingerprint, catalog.position.fingerprint)) await this.#load("another history");
  }

  async #follow(head: Position): Promise<void> {
    const { database, catalog, ringLimits = RING_LIMITS } = this.#options;
    const read = await readLinks(database.tail, catalog, head, ringLimits);
    if ("broken" in read) return this.#load(read.broken);
    for (const { revision, fingerprint } of read.links) catalog.apply(revision, fingerprint);
  }

  async #load(reason: string): Promise<void> {
    const { database, catalog, logger, ringLimits } = this.#options;
    const before = catalog.loaded ? catalog.position.revision : undefined;
    const loaded = await loadCatalog(database.tail, (id) => catalog.get(id), ringLimits);
    catalog.replace(loaded);
    if (loaded.damaged.length > 0) {
      logger.error({ operators: loaded.damaged }, "records don't decode and are not served: VerifyHistory says where");
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
    this.#lastSuccess = started;
    this.#pause = POLL_MS;
  }

  #failed(error: unknown): void {
    const { catalog, logger } = this.#options;
    this.failures++;
    this.#pause = Math.min(this.#pause * 2, LONGEST_PAUSE_MS);
    if (catalog.staleSince === undefined) {
      const err = driverError(error);
      if (catalog.loaded) logger.warn({ err }, "the primary can't be read: serving from memory, marked stale");
      else logger.error({ err }, "the catalog can't be loaded, so nothing can be served; trying again");
    }
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
