import { expect, test } from "vitest";
import { CacheUnavailableError } from "../../src/backends/cache/cache.ts";
import { InProcessCache } from "../../src/backends/cache/in-process-cache.ts";
import { cacheContract } from "./cache-contract.ts";

cacheContract(() => Promise.resolve(new InProcessCache()));

test("a closed cache says so", async () => {
  const cache = new InProcessCache();
  await cache.close();
  await expect(cache.getFields("ops:{x}:test")).rejects.toThrow(CacheUnavailableError);
  expect(cache.connected).toBe(false);
});
