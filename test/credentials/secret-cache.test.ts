import { expect, test } from "vitest";
import { SecretCache } from "../../src/credentials/secret-cache.ts";
import { newSecret } from "../backends/new-secret.ts";

test("forgets the oldest when it is full, and everything after its time, however often it is read", () => {
  let now = 0;
  const cache = new SecretCache(() => new Date(now), { entries: 2, keptMs: 1_000 });
  const [a, b, c] = [newSecret(), newSecret(), newSecret()];
  cache.set("a", a);
  now = 500;
  cache.set("b", b);
  expect(cache.get("a")).toBe(a);
  cache.set("c", c);
  expect(cache.get("a")).toBeUndefined();
  expect([cache.get("b"), cache.get("c")]).toEqual([b, c]);
  now = 1_499;
  expect(cache.get("b")).toBe(b);
  now = 1_500;
  expect([cache.get("b"), cache.get("c")]).toEqual([undefined, undefined]);
});
