import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { startVault, type Vault } from "../cluster/vault.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { failureOf, storeOn, whyUnavailable } from "./vault-support.ts";

const { signal } = new AbortController();

describe("while Vault", () => {
  let vault: Vault;
  let store: VaultSecretStore;
  beforeEach(async () => {
    vault = await startVault({ mode: "file" });
    store = storeOn(vault);
  });
  afterEach(async () => {
    await store.close();
    await vault[Symbol.asyncDispose]();
  });

  /** What each kind of call gives as its reason. */
  async function reasons(path: string): Promise<Set<string>> {
    const texts = await Promise.all([
      whyUnavailable(store.get(path, signal)),
      whyUnavailable(store.put(newPath(), newSecret(), signal)),
      whyUnavailable(store.delete(path, signal)),
      whyUnavailable(store.undelete(path, signal)),
      whyUnavailable(store.destroy(path, signal)),
    ]);
    return new Set(texts);
  }

  test("is sealed, every call is unavailable; once it is unsealed the secrets are there", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    await vault.seal();
    expect(await reasons(path)).toEqual(new Set([expect.stringContaining("answered 503 (Vault is sealed)")]));
    await vault.unseal();
    expect(await store.get(path, signal)).toEqual(secret);
  });

  test("is killed, every call is unavailable; after its restart the secrets are there", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    await vault.server.kill();
    expect(await reasons(path)).toEqual(new Set([expect.stringContaining("no answer (ECONNREFUSED)")]));
    await vault.server.start();
    await vault.unseal();
    expect(await store.get(path, signal)).toEqual(secret);
  });

  test("is frozen, every call ends by its own deadline; once it goes on the secrets are there", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    vault.server.pause();
    expect(await reasons(path)).toEqual(new Set([expect.stringContaining("no answer in time")]));
    vault.server.resume();
    // destroy was on its way: whether it arrives is open, as for every write without an answer.
    const other = newPath();
    await store.put(other, secret, signal);
    expect(await store.get(other, signal)).toEqual(secret);
  });

  test("is frozen, a caller who gives up or a store that closes doesn't wait for the deadline", async () => {
    vault.server.pause();
    const ended: string[] = [];
    const patient = whyUnavailable(store.get(newPath(), signal)).then(() => ended.push("the patient caller"));
    const caller = new AbortController();
    const given = failureOf(store.get(newPath(), caller.signal)).finally(() => ended.push("who gave up"));
    caller.abort(new Error("the caller hung up"));
    expect(await given).toMatchObject({ message: "the caller hung up" });
    await patient;
    expect(ended).toEqual(["who gave up", "the patient caller"]);
    const closed = whyUnavailable(store.get(newPath(), signal));
    await store.close();
    expect(await closed).toContain("given up");
  });
});

test("a store can be opened before there is a Vault, or a token", async () => {
  const vault = await startVault();
  await vault.server.kill();
  const store = storeOn(vault);
  expect(await whyUnavailable(store.get(newPath(), signal))).toContain("ECONNREFUSED");
  const tokenless = storeOn({ addr: vault.addr, tokenFile: `${vault.tokenFile}.not-yet` });
  expect(await whyUnavailable(tokenless.get(newPath(), signal))).toContain("no token in ");
  await vault[Symbol.asyncDispose]();
});
