import { setTimeout as sleep } from "node:timers/promises";
import type { Logger } from "pino";
import pg from "pg";
import { ConnectionError } from "./connection-error.ts";
import type { ConnectionTarget } from "./connection-target.ts";
import { sqlState } from "./database-error.ts";
import type { HeldLock } from "./db.ts";
import { cut, guard } from "./guarded-client.ts";

/** In milliseconds. */
const CONNECT_MS = 3_000;
const STATEMENT_MS = 2_000;
/** A connection that only listens notices by itself neither a black hole nor a frozen server: it is asked. */
const HEARTBEAT_MS = 2_000;
const SILENCE_MS = 3_000;
const FIRST_PAUSE_MS = 100;
const LONGEST_PAUSE_MS = 5_000;

/**
 * The one connection that belongs to a session rather than to a transaction: notifications and advisory locks. It connects by itself, and
 * again whenever it is lost, as long as there is something to listen to; then listeners are notified once, for what they missed.
 */
export class DedicatedConnection {
  readonly #target: ConnectionTarget;
  readonly #applicationName: string;
  readonly #logger: Pick<Logger, "warn" | "info">;
  readonly #listeners = new Map<string, Set<() => void>>();
  readonly #held = new Map<string, AbortController>();
  readonly #closing = new AbortController();
  readonly #running: Promise<void>;
  #client: pg.Client | undefined;
  /** pg wants one query at a time. */
  #turn: Promise<unknown> = Promise.resolve();
  #failing = false;

  constructor(target: ConnectionTarget, applicationName: string, logger: Pick<Logger, "warn" | "info">) {
    this.#target = target;
    this.#applicationName = applicationName;
    this.#logger = logger;
    this.#running = this.#run();
  }

  /** Never fails: what can't be listened to now is after the next connect. */
  async listen(channel: string, notify: () => void): Promise<() => Promise<void>> {
    const listeners = this.#listeners.get(channel) ?? new Set();
    const listener = (): void => notify(); // two listeners may hand in one function
    listeners.add(listener);
    if (!this.#listeners.has(channel)) {
      this.#listeners.set(channel, listeners);
      await this.#tell(`listen ${pg.escapeIdentifier(channel)}`);
    }
    return async () => {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      this.#listeners.delete(channel);
      await this.#tell(`unlisten ${pg.escapeIdentifier(channel)}`);
    };
  }

  /** @throws ConnectionError while there is no connection */
  async tryLock(name: string): Promise<HeldLock | undefined> {
    const client = this.#client;
    if (client === undefined) throw new ConnectionError(this.#target, new Error("not connected now"));
    // The session may take a lock that it has again: another part of this process has it.
    if (this.#held.has(name)) return undefined;
    const lost = new AbortController();
    this.#held.set(name, lost);
    let taken = false;
    try {
      taken = (await this.#ask(client, "select pg_try_advisory_lock($1, hashtext($2)) as yes", [LOCKS, name])) === true;
    } finally {
      if (!taken) this.#forget(name, lost);
    }
    if (!taken) return undefined;
    return {
      lost: lost.signal,
      release: async () => {
        if (lost.signal.aborted) return;
        this.#forget(name, lost);
        const unlocked = this.#ask(client, "select pg_advisory_unlock($1, hashtext($2)) as yes", [LOCKS, name]);
        await unlocked.catch(() => {
          cut(client, "unlocking failed"); // the lock goes with its connection
        });
        lost.abort();
      },
    };
  }

  /** Ends the connection now; it connects anew by itself. */
  drop(reason: string): void {
    if (this.#client !== undefined) cut(this.#client, reason);
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#running;
  }

  async #run(): Promise<void> {
    let pause = FIRST_PAUSE_MS;
    while (!this.#closing.signal.aborted) {
      try {
        const client = await this.#connect();
        pause = FIRST_PAUSE_MS;
        await this.#serve(client);
      } catch (error) {
        if (this.#closing.signal.aborted) break;
        if (!this.#failing)
          this.#logger.warn({ err: error }, "no notifications from the database, which is polled all the same");
        this.#failing = true;
      }
      // With jitter, so that all replicas of the service don't come back at once.
      await sleep(pause * (0.5 + Math.random()), undefined, { signal: this.#closing.signal }).catch(() => undefined);
      pause = Math.min(pause * 2, LONGEST_PAUSE_MS);
    }
  }

  async #connect(): Promise<pg.Client> {
    const { password } = this.#target;
    try {
      return await this.#connectOnce();
    } catch (cause) {
      if (password === undefined || sqlState(cause) !== "28P01") throw new ConnectionError(this.#target, cause);
      password.forget();
    }
    return this.#connectOnce().catch((cause: unknown) => {
      throw new ConnectionError(this.#target, cause);
    });
  }

  async #connectOnce(): Promise<pg.Client> {
    const client = new pg.Client({
      ...this.#target.config,
      application_name: this.#applicationName,
      connectionTimeoutMillis: CONNECT_MS,
      statement_timeout: STATEMENT_MS,
      keepAlive: true,
    });
    client.on("error", () => undefined); // heard by whoever asks next, and as the connection's end
    const giveUp = (): void => void client.connection.stream.destroy();
    this.#closing.signal.addEventListener("abort", giveUp, { once: true });
    try {
      await client.connect();
    } finally {
      this.#closing.signal.removeEventListener("abort", giveUp);
    }
    guard(client, SILENCE_MS);
    return client;
  }

  /** Resolves or rejects when the connection is over. */
  async #serve(client: pg.Client): Promise<void> {
    const ended = new Promise<void>((resolve) => client.once("end", resolve));
    const over = new AbortController();
    void ended.then(() => over.abort());
    const stop = (): void => over.abort();
    this.#closing.signal.addEventListener("abort", stop, { once: true });
    client.on("notification", ({ channel }) => this.#notify(channel));
    try {
      this.#client = client;
      await this.#listenAgain(client);
      if (this.#failing) this.#logger.info({}, "notifications from the database again");
      this.#failing = false;
      while (!over.signal.aborted) {
        await sleep(HEARTBEAT_MS, undefined, { signal: over.signal }).catch(() => undefined);
        if (!over.signal.aborted) await this.#ask(client, "select true as yes", []);
      }
    } finally {
      this.#closing.signal.removeEventListener("abort", stop);
      this.#client = undefined;
      for (const lost of this.#held.values()) lost.abort(new Error("the connection that held the lock is gone"));
      this.#held.clear();
      // In good order when the server answers; else at once.
      const timer = setTimeout(() => client.connection.stream.destroy(), CONNECT_MS);
      void client.end();
      await ended;
      clearTimeout(timer);
    }
  }

  /** What was to be heard while there was no connection is unknown: everybody is notified. */
  async #listenAgain(client: pg.Client): Promise<void> {
    for (const channel of [...this.#listeners.keys()]) {
      await this.#ask(client, `listen ${pg.escapeIdentifier(channel)}`, []);
      this.#notify(channel);
    }
  }

  #notify(channel: string): void {
    for (const notify of this.#listeners.get(channel) ?? []) notify();
  }

  #forget(name: string, lost: AbortController): void {
    if (this.#held.get(name) === lost) this.#held.delete(name);
  }

  /** A statement that doesn't matter without a connection, as the next one begins with it. */
  async #tell(statement: string): Promise<void> {
    const client = this.#client;
    if (client === undefined) return;
    await this.#ask(client, statement, []).catch(() => {
      cut(client, "LISTEN failed"); // a new connection makes its state known
    });
  }

  async #ask(client: pg.Client, statement: string, values: readonly unknown[]): Promise<unknown> {
    const answer = this.#turn.then(() => client.query<{ yes?: unknown }>(statement, [...values]));
    this.#turn = answer.catch(() => undefined);
    return (await answer).rows[0]?.yes;
  }
}

/** The first half of every advisory lock's key: keeps ours apart from others' in the same database. */
const LOCKS = 0x6f70_7331; // "ops1"
