import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from "vitest";
import { CacheUnavailableError, type Cache } from "../../src/backends/cache/cache.ts";
import { RedisCache } from "../../src/backends/cache/redis-cache.ts";
import { ClosingStack } from "../../src/closing-stack.ts";
import { startRedis, type Redis, type RedisNode } from "../cluster/redis.ts";
import { until } from "../cluster/until.ts";
import { cacheContract } from "./cache-contract.ts";

const silent = { warn: () => undefined, info: () => undefined };
let redis: Redis;
let password: string;
const closing = new ClosingStack();

beforeAll(async () => {
  redis = await startRedis();
  password = redis.password;
});

afterAll(async () => {
  await closing.close();
  await redis[Symbol.asyncDispose]();
});

/** A cache whose password is looked up anew once it was refused. */
function openCache(): Cache & { readonly asked: () => number } {
  let [known, asked] = ["", 0];
  const cache = new RedisCache({
    nodes: redis.servers,
    user: undefined,
    password: {
      get: () => {
        if (known === "") asked++;
        return Promise.resolve((known ||= password));
      },
      forget: () => void (known = ""),
    },
    logger: silent,
  });
  closing.push("a cache", () => cache.close());
  return Object.assign(cache, { asked: () => asked });
}

const some = new Map([["main.node-1", Uint8Array.of(1)]]);
const key = (): string => `ops:{${crypto.randomUUID()}}:test`;
const answers = (cache: Cache, at: string) => async () => {
  try {
    await cache.setFields(at, some, 60_000);
    return true;
  } catch (error) {
    if (error instanceof CacheUnavailableError) return false;
    throw error;
  }
};

describe("a Redis Cluster", () => {
  cacheContract(() => Promise.resolve(openCache()));

  test("every key has an expiry, so that nothing stays for ever", async () => {
    const [cache, at] = [openCache(), key()];
    await cache.setFields(at, some, 60_000);
    const ttls = await Promise.all(redis.nodes.map(({ ask }) => ask("-c", "PTTL", at)));
    expect(Number(ttls[0])).toBeGreaterThan(0);
  });

  const lost = [
    {
      what: "killed",
      hurt: ({ server }: RedisNode) => server.kill(),
      heal: ({ server }: RedisNode) => server.start(),
    },
    // Its connections stay, and nobody is told that its keys have moved.
    {
      what: "frozen",
      hurt: async ({ server }: RedisNode) => server.pause(),
      heal: async ({ server }: RedisNode) => server.resume(),
    },
  ];
  test.for(lost)("a master that is $what is done without once its replica took over", async ({ hurt, heal }) => {
    const cache = openCache();
    const keys = Array.from({ length: 30 }, key); // on all masters, as likely as not
    for (const at of keys) await until("the key can be set", answers(cache, at));
    const roles = await Promise.all(redis.nodes.map(({ ask }) => ask("ROLE")));
    const master = redis.nodes[roles.findIndex((role) => role.startsWith("master"))]!;
    await hurt(master);
    for (const at of keys) await until("the key can be set again", answers(cache, at));
    await heal(master);
    await until("it is a replica again", async () => {
      const replication = await master.ask("INFO", "replication");
      return replication.includes("role:slave") && replication.includes("master_link_status:up");
    });
  });

  test("frozen, it fails within a second, and answers once it thaws", async () => {
    const [cache, at] = [openCache(), key()];
    await cache.setFields(at, some, 60_000);
    for (const { server } of redis.nodes) server.pause();
    await expect(cache.getFields(at)).rejects.toThrow(CacheUnavailableError);
    expect(cache.connected).toBe(false);
    for (const { server } of redis.nodes) server.resume();
    await until("it answers", answers(cache, at));
    expect(cache.connected).toBe(true);
  });

  test(
    "closed while it looks for the cluster's nodes, it leaves nothing behind: the process ends",
    { timeout: 40_000 },
    async () => {
      const child = fork(join(import.meta.dirname, "redis-closing-child.ts"), {
        execPath: process.execPath,
        execArgv: ["--conditions=source"],
        env: { NODES: redis.servers.join(","), PASSWORD: password },
      });
      onTestFinished(() => void child.kill("SIGKILL"));
      await once(child, "message");
      const exited = once(child, "exit");
      for (const { server } of redis.nodes) server.pause();
      try {
        child.send("close");
        const [code] = (await exited) as [number | null];
        expect(code).toBe(0);
      } finally {
        for (const { server } of redis.nodes) server.resume();
      }
    },
  );

  test("all of it killed, it answers once it runs again", async () => {
    const cache = openCache();
    const keys = Array.from({ length: 30 }, key);
    for (const at of keys) await until("the key can be set", answers(cache, at));
    await Promise.all(redis.nodes.map(({ server }) => server.kill()));
    await expect(cache.setFields(keys[0]!, some, 60_000)).rejects.toThrow(CacheUnavailableError);
    await Promise.all(redis.nodes.map(({ server }) => server.start()));
    for (const at of keys) await until("the key can be set again", answers(cache, at));
  });

  test("a changed password is looked up anew, without a restart", async () => {
    const [cache, at] = [openCache(), key()];
    await cache.setFields(at, some, 60_000);
    const before = cache.asked();
    password = "another-password";
    for (const { ask } of redis.nodes) await ask("CONFIG", "SET", "masterauth", password);
    for (const { ask } of redis.nodes) await ask("CONFIG", "SET", "requirepass", password);
    for (const { ask } of redis.nodes) await ask("-a", password, "CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes");
    await until("it answers", answers(cache, at));
    expect(cache.asked()).toBe(before + 1);
    expect((await cache.getFields(at)).size).toBe(1);
    password = redis.password;
    for (const { ask } of redis.nodes) await ask("-a", "another-password", "CONFIG", "SET", "requirepass", password);
    for (const { ask } of redis.nodes) await ask("CONFIG", "SET", "masterauth", password);
  });

  test("all of it away fails at once, and says so once", async () => {
    const said: string[] = [];
    const cache = new RedisCache({
      nodes: ["127.0.0.1:1"],
      user: undefined,
      password: { get: () => Promise.resolve(""), forget: () => undefined },
      logger: { warn: (_: unknown, text?: string) => void said.push(text ?? ""), info: () => undefined },
    });
    closing.push("a cache", () => cache.close());
    for (let count = 0; count < 3; count++)
      await expect(cache.setFields(key(), some, 60_000)).rejects.toThrow(CacheUnavailableError);
    expect(said).toEqual(["Redis does not answer: reports are not mirrored"]);
  });
});
