import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { CatalogState, type CatalogConnection, type ConnectionRef } from "./catalog-state.ts";
import type { CatalogEvents, CatalogOptions, CatalogStatus } from "./catalog-options.ts";
import { Emitter } from "./emitter.ts";
import { Freshness } from "./freshness.ts";
import type { Logger } from "./logger.ts";
import type { Revision } from "./revision.ts";
import { soon } from "./timers.ts";
import { PositionWaiters } from "./position-waiters.ts";
import type { ResyncReason } from "./reconnect.ts";
import { watch, type WatchTarget } from "./watch.ts";

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
  readonly #logger: Logger | undefined;
  #lastError: Error | undefined;
  #watching: Promise<void> = Promise.resolve();
  #detach = (): void => {};

  private constructor(options: CatalogOptions) {
    const { client, filter = "", bookmarkIntervalMs = 10_000, signal, logger } = options;
    this.#logger = logger;
    this.#events = new Emitter((name, error) => this.#listenerThrew(name, error));
    this.#freshness = new Freshness(bookmarkIntervalMs, {
      stale: (since) => this.#events.emit("stale", { since }),
      fresh: () => this.#events.emit("fresh", { token: this.#state.token }),
    });
    const close = (): void => void this.close();
    signal?.addEventListener("abort", close);
    this.#detach = () => signal?.removeEventListener("abort", close);
    this.#watching = watch({ client, filter, bookmarkIntervalMs }, this.#target(), this.#closing.signal);
  }

  /** Starts to watch and resolves when the first configuration is complete. Never hangs: see `CatalogOptions.ready`. */
  static async start(options: CatalogOptions): Promise<OperatorCatalog> {
    if (options.signal?.aborted === true) throw new CatalogError("CLOSED", "the signal was aborted before the start");
    const catalog = new OperatorCatalog(options);
    const { timeoutMs = 10_000, otherwise = "reject" } = options.ready ?? {};
    try {
      await catalog.#firstConfiguration(timeoutMs, otherwise === "reject");
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
      source: this.#state.token === "" ? "none" : "live",
      connected,
      token: this.#state.token,
      ...(ageMs === undefined || this.#state.token === "" ? {} : { configAgeMs: ageMs }),
      ...(staleSince === undefined ? {} : { staleSince }),
      ...(this.#lastError === undefined ? {} : { lastError: this.#lastError }),
    };
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
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #target(): WatchTarget {
    // Called between the constructor's lines and whenever the watch has something: `this.#state` is the only truth.
    const state = this.#state;
    const moved = (change: Revision | undefined, first: boolean, resync?: ResyncReason): void => {
      this.#waiters.reached(state.token);
      if (first) this.#events.emit("ready", { token: state.token });
      if (resync !== undefined) this.#events.emit("resync", { token: state.token, reason: resync });
      if (change !== undefined) this.#events.emit("change", change);
    };
    return {
      get token() {
        return state.token;
      },
      heard: () => {
        if (this.#lastError !== undefined) this.#logger?.info({ token: state.token }, "the service is heard again");
        this.#lastError = undefined;
        this.#freshness.heard();
      },
      serverStale: (since) => this.#freshness.serverStale(since),
      replace: (operators, token, reason) => {
        const first = state.token === "";
        moved(state.replace(operators, token, reason), first, first ? undefined : reason);
      },
      apply: (events, token) => moved(state.apply(events, token), false),
      advance: (token) => {
        state.advance(token);
        moved(undefined, false);
      },
      lost: (error, permanent) => this.#lost(error, permanent),
    };
  }

  #lost(error: Error, permanent: boolean): void {
    // An outage is told once, not at each of its many attempts.
    const isNew = this.#lastError?.message !== error.message;
    this.#lastError = error;
    this.#freshness.lost();
    const fields = { err: error, token: this.#state.token };
    if (permanent) {
      this.#logger?.error(fields, "the service refuses the watch; trying again slowly");
      this.#events.emit("error", error);
    } else if (isNew) {
      this.#logger?.info(fields, "the watch ended; reconnecting");
    }
  }

  #listenerThrew(name: keyof CatalogEvents, cause: unknown): void {
    const error = new CatalogError("LISTENER", `a listener of "${name}" threw`, { cause });
    this.#logger?.error({ err: error }, error.message);
    if (name !== "error") this.#events.emit("error", error);
  }

  #firstConfiguration(timeoutMs: number, failEarly: boolean): Promise<void> {
    return new Promise((resolve, reject) => {
      const settle = (error?: CatalogError): void => {
        for (const undo of undos) undo();
        if (error === undefined) resolve();
        else reject(error);
      };
      const fail = (text: string): void => {
        const cause = this.#lastError;
        const why = cause === undefined ? "" : `: ${cause.message}`;
        settle(new CatalogError("NOT_READY", text + why, cause === undefined ? {} : { cause }));
      };
      const closed = (): void => settle(new CatalogError("CLOSED", "the catalog was closed while it started"));
      this.#closing.signal.addEventListener("abort", closed);
      const undos = [
        soon(timeoutMs, () => fail(`no configuration within ${timeoutMs} ms`)),
        this.on("ready", () => settle()),
        this.on("error", () => (failEarly ? fail("the service refuses the watch") : undefined)),
        () => this.#closing.signal.removeEventListener("abort", closed),
      ];
    });
  }
}
