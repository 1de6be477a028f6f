import { RedisCache } from "../../src/backends/cache/redis-cache.ts";
import { mirrorKey, PERIOD_MS } from "../../src/health/report-mirror.ts";
import type { Redis } from "../cluster/redis.ts";
import type { HealthLink } from "./support-health-link.ts";

/** The copies of reports in a Redis Cluster, read past the service. */
export interface Mirror extends AsyncDisposable {
  /** When the stream took the newest report of the link that is copied, in milliseconds; undefined: none is, or Redis is away. */
  newest(link: HealthLink): Promise<number | undefined>;
}

export function openMirror({ servers, password }: Redis): Mirror {
  const cache = new RedisCache({
    nodes: servers,
    user: undefined,
    password: { get: () => Promise.resolve(password), forget: () => undefined },
    logger: { warn: () => undefined, info: () => undefined },
  });
  return {
    newest: async ({ operatorUid }) => {
      const keys = [0, 1].map((back) => mirrorKey(operatorUid, Math.floor(Date.now() / PERIOD_MS) - back));
      const hashes = await Promise.all(keys.map((key) => cache.getFields(key))).catch(() => []);
      // Its sequence, then its time, each 8 bytes.
      const copies = hashes.flatMap((hash) => [...hash.values()]);
      const times = copies.map((copy) => Number(Buffer.from(copy).readBigInt64BE(8)));
      return times.length === 0 ? undefined : Math.max(...times);
    },
    [Symbol.asyncDispose]: () => cache.close(),
  };
}

/** Removes every key. */
export async function flush({ nodes }: Redis): Promise<void> {
  // Replicas refuse and follow.
  await Promise.all(nodes.map(({ ask }) => ask("FLUSHALL")));
}
