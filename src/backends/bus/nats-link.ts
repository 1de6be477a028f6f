import { setTimeout } from "node:timers/promises";
import type { NatsConnection } from "nats";
import type { Logger } from "pino";
import { unlessAborted } from "../unless-aborted.ts";
import { careForStreams, type StreamCare } from "./jetstream-streams.ts";
import { dialNats } from "./nats-dial.ts";
import { isAuthError, reasonText } from "./nats-errors.ts";
import { natsSession, type NatsSession } from "./nats-session.ts";
import { OutageLog } from "./outage-log.ts";

export interface NatsLinkOptions extends StreamCare {
  /** host:port of each server. */
  readonly servers: readonly string[];
  /** Undefined when the servers ask for none. */
  readonly user: string | undefined;
  /** Asked for every connection; told when the server refuses what it gave. */
  readonly password: { get(signal?: AbortSignal): Promise<string>; forget(): void };
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
}

const FIRST_PAUSE_MS = 100;
const MAX_PAUSE_MS = 5_000;
/** So often JetStream may not answer on a connection that is fine: then its server may be cut off from the others. */
const PATIENCE = 2;

/** Keeps a connection to one of the servers, for ever, and the streams as they should be. */
export class NatsLink {
  readonly #options: NatsLinkOptions;
  readonly #log: OutageLog;
  readonly #closing = new AbortController();
  readonly #ended: Promise<void>;
  #session: NatsSession | undefined;
  /** Tries since all was well. */
  #failures = 0;
  /** Of the password, since one was accepted. */
  #refusals = 0;
  #doubted = Promise.withResolvers<void>();
  #connected = Promise.withResolvers<void>();

  constructor(options: NatsLinkOptions) {
    this.#options = options;
    this.#log = new OutageLog(options.logger);
    this.#ended = this.#run();
  }

  /** Undefined while there is no connection. */
  get session(): NatsSession | undefined {
    return this.#session;
  }

  /** Whether JetStream answered when it was last asked, with the streams in order. */
  get healthy(): boolean {
    return this.#session !== undefined && this.#log.up;
  }

  /** Resolves when there is a connection. @throws the signal's reason */
  async connected(signal: AbortSignal): Promise<NatsSession> {
    while (this.#session === undefined) await unlessAborted(this.#connected.promise, signal);
    return this.#session;
  }

  /** A call went unanswered, or a stream is missing: look after it now. */
  doubt(): void {
    this.#doubted.resolve();
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#session?.connection.close();
    await this.#ended;
  }

  async #run(): Promise<void> {
    const { servers } = this.#options;
    // Not every pod at the same server.
    for (let next = Math.floor(Math.random() * servers.length); !this.#closing.signal.aborted; next++) {
      const server = servers[next % servers.length]!;
      const session = await this.#connect(server);
      if (session === undefined) {
        await this.#pause();
        continue;
      }
      this.#refusals = 0;
      this.#session = session;
      this.#connected.resolve();
      await this.#attend(session, server);
      this.#session = undefined;
      this.#connected = Promise.withResolvers();
      await session.connection.close();
    }
  }

  async #connect(server: string): Promise<NatsSession | undefined> {
    const { user, password } = this.#options;
    const { signal } = this.#closing;
    let dialed: Promise<NatsConnection> | undefined;
    try {
      dialed = dialNats({ server, user, password: user === undefined ? "" : await password.get(signal) });
      return await natsSession(await unlessAborted(dialed, signal));
    } catch (error) {
      if (signal.aborted) {
        // Dialling has a deadline of its own, but can't be broken off.
        void dialed?.then((late) => late.close()).catch(() => undefined);
        return undefined;
      }
      this.#failures++;
      if (!isAuthError(error)) {
        this.#log.down(`${server}: ${reasonText(error)}`);
        return undefined;
      }
      password.forget();
      // The first time it may have been rotated.
      if (++this.#refusals <= this.#options.servers.length) this.#log.down(`${server}: ${reasonText(error)}`);
      else this.#log.wrong(["the servers refuse the user or the password"]);
      return undefined;
    }
  }

  /** Returns when the connection is over, or should be. */
  async #attend({ connection, manager }: NatsSession, server: string): Promise<void> {
    const over = connection.closed().then(() => true);
    for (let unanswered = 0; ;) {
      this.#doubted = Promise.withResolvers();
      try {
        const problems = await careForStreams(manager, this.#options);
        unanswered = 0;
        if (problems.length === 0) {
          this.#failures = 0;
          this.#log.fine(server);
          if (await Promise.race([over, this.#doubted.promise])) break;
        } else {
          this.#failures++;
          this.#log.wrong(problems);
        }
      } catch (error) {
        this.#failures++;
        if (!this.#closing.signal.aborted) this.#log.down(`${server}: ${reasonText(error)}`);
        if (++unanswered >= PATIENCE) return;
      }
      // Also after a doubt that proved unfounded: whoever doubts may do so again and again.
      if (await Promise.race([over, this.#pause()])) break;
    }
    if (!this.#closing.signal.aborted) this.#log.down(`${server}: the connection has ended`);
  }

  async #pause(): Promise<void> {
    const limit = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(this.#failures, 20));
    const jittered = limit * (0.5 + Math.random() / 2);
    await setTimeout(jittered, undefined, { signal: this.#closing.signal }).catch(() => undefined); // or closing
  }
}
