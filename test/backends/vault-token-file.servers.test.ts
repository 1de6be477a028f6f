import { readFile } from "node:fs/promises";
import { expect, test } from "vitest";
import type { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { startVault, type Vault } from "../cluster/vault.ts";
import { until } from "../cluster/until.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { failureOf, storeOn, whyUnavailable } from "./vault-support.ts";

const { signal } = new AbortController();
const READERS = 20;
const ROTATIONS = 3;

test(`${READERS} readers and a writer notice nothing of tokens that are replaced and then revoked`, async () => {
  await using vault = await startVault();
  const store = storeOn(vault);
  const calls = await duringCalls(store, async (callsSince) => {
    for (let rotation = 0; rotation < ROTATIONS; rotation++) {
      const old = await tokenOf(vault);
      await callsSince();
      await vault.issueServiceToken();
      await vault.api.call("PUT", "auth/token/revoke", { token: old });
      await callsSince();
    }
  });
  expect(calls.failed).toEqual([]);
});

test(`${READERS} readers and a writer notice nothing of tokens that are revoked before their agent knows`, async () => {
  await using vault = await startVault({ agent: true, tokenTtl: "2s" });
  const store = storeOn(vault);
  const calls = await duringCalls(store, async (callsSince) => {
    for (let rotation = 0; rotation < ROTATIONS; rotation++) {
      const old = await tokenOf(vault);
      await vault.revokeServiceToken();
      await until("the agent has another token", async () => (await tokenOf(vault)) !== old);
      await callsSince();
    }
  });
  expect(calls.failed).toEqual([]);
});

test("while nobody replaces a revoked token calls are unavailable; with the next token they go on", async () => {
  await using vault = await startVault();
  const store = storeOn(vault);
  const [path, secret] = [newPath(), newSecret()];
  await store.put(path, secret, signal);
  await vault.revokeServiceToken();
  for (const work of [store.get(path, signal), store.put(newPath(), secret, signal), store.delete(path, signal)]) {
    expect(await whyUnavailable(work)).toContain("the token is revoked or has expired, and no other one has come");
  }
  await vault.issueServiceToken();
  expect(await store.get(path, signal)).toEqual(secret);
});

test("what the policies don't allow is refused without a wait for another token, and leaves the token in use", async () => {
  await using vault = await startVault();
  const store = storeOn(vault);
  const refused = store.get("other/a", signal);
  expect(await whyUnavailable(refused)).toContain("the token is good, but its policies don't allow this");
  expect(await store.get(newPath(), signal)).toBeUndefined();
});

test("a caller who gives up doesn't wait for the next token", async () => {
  await using vault = await startVault();
  const store = storeOn(vault);
  await vault.revokeServiceToken();
  const caller = new AbortController();
  // Both wait for the same token; only one gives up.
  const [given, patient] = [failureOf(store.get(newPath(), caller.signal)), store.get(newPath(), signal)];
  caller.abort(new Error("the caller hung up"));
  expect(await given).toMatchObject({ message: "the caller hung up" });
  await vault.issueServiceToken();
  expect(await patient).toBeUndefined();
});

interface Calls {
  readonly done: number;
  readonly failed: readonly unknown[];
}

/** Reads and writes all the time while `work` runs; `callsSince` resolves once every reader has had another answer. */
async function duringCalls(
  store: VaultSecretStore,
  work: (callsSince: () => Promise<void>) => Promise<void>,
): Promise<Calls> {
  const [path, secret] = [newPath(), newSecret()];
  await store.put(path, secret, signal);
  const answers = Array.from({ length: READERS + 1 }, () => 0);
  const failed: unknown[] = [];
  let goesOn = true;
  const loop = async (caller: number, call: () => Promise<void>): Promise<void> => {
    while (goesOn) {
      await call().catch((error: unknown) => failed.push(error));
      answers[caller]!++;
    }
  };
  const loops = answers.map((_, caller) =>
    loop(
      caller,
      caller === READERS
        ? () => store.put(newPath(), newSecret(), signal)
        : async () => expect(await store.get(path, signal)).toEqual(secret),
    ),
  );
  try {
    await work(async () => {
      const before = [...answers];
      await until("all callers have had another answer", () => answers.every((n, caller) => n > before[caller]! + 1));
    });
  } finally {
    goesOn = false;
    await Promise.all(loops);
  }
  return { done: answers.reduce((sum, n) => sum + n), failed };
}

async function tokenOf({ tokenFile }: Vault): Promise<string> {
  return readFile(tokenFile, "utf8");
}
