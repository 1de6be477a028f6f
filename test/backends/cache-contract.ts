import { expect, test } from "vitest";
import type { Cache } from "../../src/backends/cache/cache.ts";
import { until } from "../cluster/until.ts";

/** What either kind of cache does. Each test gets a key of its own. */
export function cacheContract(open: () => Promise<Cache>): void {
  const key = (): string => `ops:{${crypto.randomUUID()}}:test`;
  const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
  const plain = (fields: ReadonlyMap<string, Uint8Array>) =>
    Object.fromEntries([...fields].map(([name, value]) => [name, [...value]]));

  test("what was never set has no fields", async () => {
    const cache = await open();
    expect(plain(await cache.getFields(key()))).toEqual({});
  });

  test("fields come back byte for byte, also those that are no text", async () => {
    const cache = await open();
    const [at, all] = [key(), Uint8Array.from({ length: 256 }, (_, value) => value)];
    await cache.setFields(at, new Map([["main.node-1", all]]), 60_000);
    expect(plain(await cache.getFields(at))).toEqual({ "main.node-1": [...all] });
  });

  test("setting some fields leaves the others", async () => {
    const cache = await open();
    const at = key();
    await cache.setFields(
      at,
      new Map([
        ["a", bytes(1)],
        ["b", bytes(2)],
      ]),
      60_000,
    );
    await cache.setFields(at, new Map([["b", bytes(3)]]), 60_000);
    expect(plain(await cache.getFields(at))).toEqual({ a: [1], b: [3] });
  });

  test("a hash goes after its time, and each call begins that anew", async () => {
    const cache = await open();
    const [brief, renewed] = [key(), key()];
    await cache.setFields(brief, new Map([["a", bytes(1)]]), 300);
    await cache.setFields(renewed, new Map([["a", bytes(1)]]), 300);
    await cache.setFields(renewed, new Map([["b", bytes(2)]]), 60_000);
    await until("the one is gone", async () => (await cache.getFields(brief)).size === 0);
    expect(plain(await cache.getFields(renewed))).toEqual({ a: [1], b: [2] });
  });

  test("what is taken from it is the taker's own", async () => {
    const cache = await open();
    const [at, value] = [key(), bytes(1, 2)];
    await cache.setFields(at, new Map([["a", value]]), 60_000);
    value[0] = 9;
    (await cache.getFields(at)).get("a")![1] = 9;
    const before = (await cache.getFields(at)).get("a")!;
    expect(before[0]).toBe(1);
  });
}
