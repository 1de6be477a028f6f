import { Cluster } from "ioredis";
import type { Logger } from "pino";
import type { PasswordSource } from "../secrets/password-source.ts";
import { CacheUnavailableError, type Cache } from "./cache.ts";

const COMMAND_DEADLINE_MS = 500;
const CONNECT_DEADLINE_MS = 1_000;
/** A dial that failed is not repeated sooner: nobody waits for a copy, and a server that starts is not to be flooded. */
const DIAL_PAUSE_MS = 1_000;

const SLOTS_REFRESH_MS = 2_000;

/** Where a Redis Cluster is. */
export interface RedisOptions {
  /** host:port of some of its nodes. */
  readonly nodes: readonly string[];
  readonly user: string | undefined;
  readonly password: PasswordSource;
  readonly logger: Pick<Logger, "warn" | "info">;
}

/**
 * A Redis Cluster. Its client is made with the password of the moment, and made anew once the server refuses that. Commands don't queue: while
 * there is no connection they fail at once.
 */
export class RedisCache implements Cache {
  readonly #options: RedisOptions;
  #client: Cluster | undefined;
  #dialing: Promise<Cluster> | undefined;
  #dialedAt = -Infinity;
  #closed = false;
  #failing = false;

  constructor(options: RedisOptions) {
    this.#options = options;
  }

  get connected(): boolean {
    return this.#client?.status === "ready" && !this.#failing;
  }

  setFields(key: string, fields: ReadonlyMap<string, Uint8Array>, ttlMs: number): Promise<void> {
    const values = [...fields].flatMap(([field, value]) => [field, Buffer.from(value)]);
    return this.#run("set fields", async (client) => {
      const results = await client
        .pipeline()
        .hset(key, ...values)
        .pexpire(key, ttlMs)
        .exec();
      const failed = results?.find(([error]) => error !== null)?.[0];
      if (failed) throw failed;
    });
  }

  getFields(key: string): Promise<ReadonlyMap<string, Uint8Array>> {
    return this.#run("get fields", async (client) => new Map(Object.entries(await client.hgetallBuffer(key))));
  }

  async close(): Promise<void> {
    this.#closed = true;
    await this.#dialing?.catch(() => undefined); // whoever asked for it hears of it
    this.#client?.disconnect();
  }

  async #run<T>(action: string, work: (client: Cluster) => Promise<T>): Promise<T> {
    let client: Cluster | undefined;
    try {
      client = await this.#open();
      const result = await work(client);
      this.#note(undefined);
      return result;
    } catch (cause) {
      if (isRefusal(cause)) this.#discard(client);
      this.#note(cause);
      throw new CacheUnavailableError(action, { cause });
    }
  }

  /** The client, connected. @throws what kept it from connecting */
  async #open(): Promise<Cluster> {
    if (this.#closed) throw new Error("it is closed");
    if (this.#client !== undefined && this.#client.status !== "end") return this.#client;
    if (this.#dialing === undefined) {
      if (performance.now() - this.#dialedAt < DIAL_PAUSE_MS) throw new Error("not connected");
      this.#dialedAt = performance.now();
      this.#dialing = this.#dial().finally(() => (this.#dialing = undefined));
    }
    return this.#dialing;
  }

  async #dial(): Promise<Cluster> {
    const { nodes, user, password } = this.#options;
    const secret = await password.get(AbortSignal.timeout(CONNECT_DEADLINE_MS));
    const client = new Cluster(nodes.map(addressOf), {
      lazyConnect: true,
      enableOfflineQueue: false,
      slotsRefreshTimeout: CONNECT_DEADLINE_MS,
      // One attempt at all nodes; the next is ours, with the password of then.
      clusterRetryStrategy: () => null,
      redisOptions: {
        ...(user !== undefined && { username: user }),
        ...(secret !== "" && { password: secret }),
        commandTimeout: COMMAND_DEADLINE_MS,
        connectTimeout: CONNECT_DEADLINE_MS,
        maxRetriesPerRequest: 1,
      },
    });
    let refused: Error | undefined;
    // Without a listener the client prints; a command that fails says the same.
    client.on("error", () => undefined);
    client.on("node error", (error: Error) => {
      if (isRefusal(error)) refused = error;
    });
    // A cluster that answers without being ready (all of it has just started) ends the client, and connecting to it neither succeeds nor fails.
    const ended = Promise.withResolvers<never>();
    client.once("end", () => ended.reject(new Error("the cluster is not ready")));
    try {
      await Promise.race([client.connect(), ended.promise]);
    } catch (error) {
      client.disconnect();
      if (isRefusal(refused)) password.forget();
      throw refused ?? error;
    }
    refreshSlots(client);
    if (this.#closed) client.disconnect();
    this.#client = client;
    return client;
  }

  #discard(client: Cluster | undefined): void {
    if (client === undefined || this.#client !== client) return;
    this.#client = undefined;
    this.#options.password.forget();
    client.disconnect();
  }

  /** Once per outage, and at its end. */
  #note(error: unknown): void {
    const failing = error !== undefined;
    if (failing === this.#failing || this.#closed) return;
    this.#failing = failing;
    if (failing) this.#options.logger.warn({ err: error }, "Redis does not answer: reports are not mirrored");
    else this.#options.logger.info("Redis answers again");
  }
}

/**
 * Lets the client look for the cluster's nodes again and again, until it ends: a master that froze closes no connection and moves no key, so
 * nothing else tells that its replica took over. The client's own `slotsRefreshInterval` never ends when it is disconnected in the
 * middle of a look (ioredis 6.0.0), and keeps the process from ending.
 */
function refreshSlots(client: Cluster): void {
  const timer = setInterval(() => client.refreshSlotsCache(), SLOTS_REFRESH_MS);
  client.once("end", () => clearInterval(timer));
}

function addressOf(node: string): { host: string; port: number } {
  const colon = node.lastIndexOf(":");
  return { host: node.slice(0, colon).replace(/^\[|\]$/g, ""), port: Number(node.slice(colon + 1)) };
}

/** Whether the server refused the password, now or since it was changed. */
function isRefusal(error: unknown): boolean {
  return error instanceof Error && /^(WRONGPASS|NOAUTH|ERR invalid password)/.test(error.message);
}
