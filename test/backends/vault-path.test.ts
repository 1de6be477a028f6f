import { describe, expect, test } from "vitest";
import { vaultPath } from "../../src/backends/secrets/vault-path.ts";

describe("a path for Vault", () => {
  test.each([
    ["ops/operators/acme/0b7c/main/91aa", "ops/operators/acme/0b7c/main/91aa"],
    ["ops/a b?c#d%2Fe&f", "ops/a%20b%3Fc%23d%252Fe%26f"],
    ["ops/é", "ops/%C3%A9"],
    // What node-vault itself would turn into a slash.
    ["ops/a&#x2F;b", "ops/a%26%23x2F%3Bb"],
  ])("of %s is %s", (path, escaped) => {
    expect(vaultPath(path)).toBe(escaped);
  });

  test.each(["", "/ops", "ops/", "ops//a", "ops/../sys", "ops/./a", ".."])("can't be %j", (path) => {
    expect(() => vaultPath(path)).toThrow(TypeError);
  });
});
