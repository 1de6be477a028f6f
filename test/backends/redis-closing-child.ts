import { RedisCache } from "../../src/backends/cache/redis-cache.ts";

/** Every 2 s a client looks for the cluster's nodes, for seconds when these are frozen: of so many, closed at different times, some are at it. */
const CACHES = 12;
const KEY = "ops:{child}:test";

function newCache(): RedisCache {
  return new RedisCache({
    nodes: (process.env["NODES"] ?? "").split(","),
    user: undefined,
    password: { get: () => Promise.resolve(process.env["PASSWORD"] ?? ""), forget: () => undefined },
    logger: { warn: () => undefined, info: () => undefined },
  });
}

// Opens caches and tells its parent; once Redis is frozen, closes them. Then the process is to end by itself.
const caches = Array.from({ length: CACHES }, newCache);
for (const cache of caches) {
  await cache.setFields(KEY, new Map([["main.node-1", Uint8Array.of(1)]]), 60_000);
}
process.once("message", () => {
  void Promise.all(caches.map(close)).then(() => process.disconnect());
});
process.send?.("open");

/** After as many commands, which fail, as its place says. */
async function close(cache: RedisCache, place: number): Promise<void> {
  for (let failures = 0; failures < place;) await cache.getFields(KEY).catch(() => failures++);
  await cache.close();
}
