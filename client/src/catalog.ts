import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { CatalogState, type CatalogConnection, type ConnectionRef } from "./catalog-state.ts";
import type { CatalogEvents, CatalogOptions, CatalogStatus } from "./catalog-options.ts";
import { Emitter } from "./emitter.ts";
import { firstConfiguration } from "./first-configuration.ts";
import { Freshness } from "./freshness.ts";
import type { Revision } from "./revision.ts";
import { PositionWaiters } from "./position-waiters.ts";
import type { ResyncReason } from "./reconnect.ts";
import { encodeSnapshot, type CatalogSnapshot } from "./snapshot-format.ts";
import { readStored } from "./read-stored.ts";
import { SnapshotSaver } from "./snapshot-saver.ts";
import { watch, type WatchTarget } from "./watch.ts";

// Longer than 250 lines because what a caller can ask of a catalog stands in one class.

/**
 * The configuration of all operators in this process, kept current by a watch. Reading is synchronous and never fails; what it
 * returns is frozen and stays as it is when changes come. Configuration never expires by itself: without a server the last one stays.
 */
export class OperatorCatalog implements AsyncDisposable {
  readonly #state = new CatalogState();
  readonly #waiters = new PositionWaiters();
  readonly #events: Emitter<CatalogEvents>;
  readonly #freshness: Freshness;
  readonly #closing = new AbortController();
  #lastError: Error | undefined;
  #watching: Promise<void> = Promise.resolve();
  #detach = (): void => {};
  readonly #options: CatalogOptions;
  readonly #saver: SnapshotSaver | undefined;
  #source: CatalogStatus["source"] = "none";
  #snapshotError: Error | undefined;
  /** Whether `ready` was emitted. */
  #isReady = false;

  private constructor(options: CatalogOptions) {
    const { bookmarkIntervalMs = 10_000, signal, snapshot } = options;
    this.#options = options;
    this.#events = new Emitter((name, error) => this.#listenerThrew(name, error));
    this.#freshness = new Freshness(bookmarkIntervalMs, {
      stale: (since) => this.#events.emit("stale", { since }),
      fresh: () => this.#events.emit("fresh", { token: this.#state.token }),
    });
    const close = (): void => void this.close();
    signal?.addEventListener("abort", close);
    this.#detach = () => signal?.removeEventListener("abort", close);
    const stored = (): CatalogSnapshot | undefined => (this.#source === "live" ? this.#captured() : undefined);
    const { store, intervalMs = 30_000 } = snapshot ?? {};
    this.#saver = store && new SnapshotSaver(store, intervalMs, stored, (error) => this.#snapshotFailed(error));
  }

  /** Starts to watch and resolves when the first configuration is complete. Never hangs: see `CatalogOptions.ready`. */
  static async start(options: CatalogOptions): Promise<OperatorCatalog> {
    if (options.signal?.aborted === true) throw new CatalogError("CLOSED", "the signal was aborted before the start");
    const catalog = new OperatorCatalog(options);
    await catalog.#restore();
    if (catalog.#closing.signal.aborted) throw new CatalogError("CLOSED", "the catalog was closed while it started");
    catalog.#watch();
    const { timeoutMs = 10_000, otherwise = "reject" } = options.ready ?? {};
    try {
      await catalog.#first(timeoutMs, otherwise === "reject");
      catalog.#ready();
    } catch (error) {
      if (otherwise === "continue" && !catalog.#closing.signal.aborted) return catalog;
      await catalog.close();
      throw error;
    }
    return catalog;
  }

  /** How it stands now. */
  get status(): CatalogStatus {
    const { ageMs, staleSince, connected } = this.#freshness;
    return {
      source: this.#source,
      connected,
      token: this.#state.token,
      ...(ageMs === undefined || this.#state.token === "" ? {} : { configAgeMs: ageMs }),
      ...(staleSince === undefined ? {} : { staleSince }),
      ...(this.#snapshotError === undefined ? {} : { snapshotError: this.#snapshotError }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
  }

  /** All operators by id; a new map after every change, so that a map once read stays as it is. */
  get operators(): ReadonlyMap<string, Operator> {
    return this.#state.operators;
  }

  /** The operator with this id, or undefined. */
  operator(id: string): Operator | undefined {
    return this.#state.operators.get(id);
  }

  /** The connection with this reference, `{operatorId, connectionId}` or `"operator/connection"`, or undefined. */
  connection(ref: ConnectionRef | string): CatalogConnection | undefined {
    return this.#state.connection(ref);
  }

  /** All connections (that the predicate accepts), by operator id and connection id. */
  connections(predicate?: (connection: CatalogConnection) => boolean): readonly CatalogConnection[] {
    const all = this.#state.connections;
    return predicate === undefined ? all : all.filter(predicate);
  }

  /**
   * Every revision from now on, or after `from`: a token that this catalog had. Nothing is lost between this call and the first read. A reader
   * that falls 64 revisions behind, or whose `from` is too old, gets one merged revision with `resync` (in the second case everything that
   * there is, as added). Ends when the signal aborts or the reader leaves the loop; throws CatalogError CLOSED when the catalog is closed.
   */
  changes(
    options: { readonly from?: string; readonly signal?: AbortSignal } = {},
  ): AsyncIterableIterator<Revision, undefined> {
    return this.#state.changes(options.from, options.signal);
  }

  /** The state held now, as bytes for the `bootstrap` of other processes. Rejects with CatalogError NOT_READY while there is none. */
  async snapshot(): Promise<Uint8Array> {
    if (this.#source === "none") throw new CatalogError("NOT_READY", "there is no configuration yet");
    return encodeSnapshot(this.#captured());
  }

  /**
   * Resolves when the catalog holds everything up to this token, e.g. of a write's reply: read your own writes. Rejects with CatalogError
   * TIMEOUT (default 10,000 ms), TOKEN_INVALID, TOKEN_FOREIGN or CLOSED.
   */
  waitFor(token: string, options: { readonly timeoutMs?: number } = {}): Promise<void> {
    return this.#waiters.waitFor(token, options.timeoutMs ?? 10_000);
  }

  /** Calls the listener at every such event, until the returned function is called. What it throws becomes an `error` event. */
  on<Name extends keyof CatalogEvents>(name: Name, listener: (value: CatalogEvents[Name]) => void): () => void {
    return this.#events.on(name, listener);
  }

  /** Ends the watch, every `changes()` and `waitFor`. What was read stays readable. May be called again. */
  async close(): Promise<void> {
    if (!this.#closing.signal.aborted) {
      const closed = new CatalogError("CLOSED", "the catalog was closed");
      this.#detach();
      this.#closing.abort(closed);
      this.#waiters.close(closed);
      this.#state.close(closed);
      this.#freshness.close();
      this.#events.clear();
    }
    await this.#watching;
    await this.#saver?.close();
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #target(): WatchTarget {
    // Called between the constructor's lines and whenever the watch has something: `this.#state` is the only truth.
    const state = this.#state;
    const moved = (change: Revision | undefined, resync?: ResyncReason): void => {
      this.#source = "live";
      this.#waiters.reached(state.token);
      this.#saver?.noticed(state.token);
      this.#ready();
      if (resync !== undefined) this.#events.emit("resync", { token: state.token, reason: resync });
      if (change !== undefined) this.#events.emit("change", change);
    };
    return {
      get token() {
        return state.token;
      },
      heard: () => {
        if (this.#lastError !== undefined)
          this.#options.logger?.info({ token: state.token }, "the service is heard again");
        this.#lastError = undefined;
        this.#freshness.heard();
      },
      serverStale: (since) => this.#freshness.serverStale(since),
      replace: (operators, token, reason) => {
        const first = state.token === "";
        moved(state.replace(operators, token, reason), first ? undefined : reason);
      },
      apply: (events, token) => moved(state.apply(events, token)),
      advance: (token) => {
        state.advance(token);
        moved(undefined);
      },
      lost: (error, permanent) => this.#lost(error, permanent),
    };
  }

  #watch(): void {
    const { client, filter = "", bookmarkIntervalMs = 10_000 } = this.#options;
    this.#watching = watch({ client, filter, bookmarkIntervalMs }, this.#target(), this.#closing.signal);
  }

  /** Takes the stored state, if there is one: the watch resumes from it, and it is what there is while the service is away. */
  async #restore(): Promise<void> {
    const stored = await readStored(this.#options, (error) => this.#snapshotFailed(error));
    if (stored === undefined) return;
    this.#state.replace(stored.operators, stored.token, undefined);
    this.#source = stored.source;
    this.#freshness.restored(stored.time);
  }

  #captured(): CatalogSnapshot {
    const time = new Date(Date.now() - (this.#freshness.ageMs ?? 0));
    const operators = [...this.#state.operators.values()];
    return { operators, token: this.#state.token, filter: this.#options.filter ?? "", time };
  }

  #snapshotFailed(error: Error): void {
    if (this.#snapshotError?.message !== error.message) this.#options.logger?.warn({ err: error }, error.message);
    this.#snapshotError = error;
  }

  #first(timeoutMs: number, failEarly: boolean): Promise<void> {
    return firstConfiguration({
      timeoutMs,
      failEarly,
      signal: this.#closing.signal,
      on: (name, listener) => this.on(name, listener),
      hasStored: () => this.#source !== "none",
      lastError: () => this.#lastError,
    });
  }

  #ready(): void {
    if (this.#isReady) return;
    this.#isReady = true;
    this.#events.emit("ready", { token: this.#state.token });
  }

  #lost(error: Error, permanent: boolean): void {
    // An outage is told once, not at each of its many attempts.
    const isNew = this.#lastError?.message !== error.message;
    this.#lastError = error;
    this.#freshness.lost();
    const fields = { err: error, token: this.#state.token };
    if (permanent) {
      this.#options.logger?.error(fields, "the service refuses the watch; trying again slowly");
      this.#events.emit("error", error);
    } else if (isNew) {
      this.#options.logger?.info(fields, "the watch ended; reconnecting");
    }
  }

  #listenerThrew(name: keyof CatalogEvents, cause: unknown): void {
    const error = new CatalogError("LISTENER", `a listener of "${name}" threw`, { cause });
    this.#options.logger?.error({ err: error }, error.message);
    if (name !== "error") this.#events.emit("error", error);
  }
}
