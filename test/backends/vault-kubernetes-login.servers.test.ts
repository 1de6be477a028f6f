import { writeFile } from "node:fs/promises";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { startVault, type Vault } from "../cluster/vault.ts";
import { until } from "../cluster/until.ts";
import { kubernetesFor, type KubernetesStub } from "./kubernetes-stub.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { expectNothingOf, whyUnavailable } from "./vault-support.ts";

const { signal } = new AbortController();

describe("a login by ServiceAccount", () => {
  let vault: Vault;
  let kubernetes: KubernetesStub;
  let logged: unknown[];

  beforeEach(async () => {
    vault = await startVault();
    logged = [];
  });
  afterEach(async () => {
    await kubernetes[Symbol.asyncDispose]();
    await vault[Symbol.asyncDispose]();
  });

  async function storeWith(ttl: string, role = "operator-management"): Promise<VaultSecretStore> {
    kubernetes = await kubernetesFor(vault, ttl);
    const login = { role, authMount: "kubernetes", jwtFile: kubernetes.jwtFile };
    const logger = { warn: (...args: unknown[]) => void logged.push(args) };
    return new VaultSecretStore(openVault({ addr: vault.addr, mount: "secret", login }, logger));
  }

  /** Ends all tokens that logins have given. */
  const revokeAll = (): Promise<unknown> => vault.api.call("PUT", "sys/leases/revoke-prefix/auth/kubernetes/login");

  test("happens once for all who come first", async () => {
    const store = await storeWith("1h");
    const [path, secret] = [newPath(), newSecret()];
    await Promise.all(Array.from({ length: 20 }, () => store.get(path, signal)));
    await store.put(path, secret, signal);
    expect(await store.get(path, signal)).toEqual(secret);
    expect(kubernetes.reviewed).toHaveLength(1);
  });

  test("is repeated, once for all, when the token was revoked, with the ServiceAccount's token as it is then", async () => {
    const store = await storeWith("1h");
    await store.get(newPath(), signal);
    const jwt = await kubernetes.replaceJwt();
    await revokeAll();
    await Promise.all(Array.from({ length: 20 }, () => store.get(newPath(), signal)));
    expect(kubernetes.reviewed).toHaveLength(2);
    expect(kubernetes.reviewed[1]).toBe(jwt);
  });

  test("is repeated again and again as tokens come to their end, and no call notices", async () => {
    const store = await storeWith("3s");
    const reading = await readingOf(store);
    await until("there were three further logins", async () => {
      await reading.again();
      return kubernetes.reviewed.length === 4;
    });
    expect(reading.failed).toEqual([]);
    expect(logged).toEqual([]);
  });

  test("that fails before the token ends is tried again, while the old token is used; the log says so", async () => {
    const store = await storeWith("9s");
    const reading = await readingOf(store);
    await writeFile(kubernetes.jwtFile, "not.a.jwt");
    await until("a login has failed", async () => {
      await reading.again();
      return logged.length > 0;
    });
    await reading.again();
    expect(logged).toHaveLength(1);
    await kubernetes.replaceJwt();
    await until("another login has succeeded", async () => {
      await reading.again();
      return kubernetes.reviewed.length > 1;
    });
    expect(reading.failed).toEqual([]);
  });

  test("isn't repeated for what the policies don't allow", async () => {
    const store = await storeWith("1h");
    for (let attempt = 0; attempt < 3; attempt++) {
      expect(await whyUnavailable(store.get("other/a", signal))).toContain("its policies don't allow this");
    }
    expect(kubernetes.reviewed).toHaveLength(1);
  });

  test("that Vault refuses makes calls unavailable, and says for which role", async () => {
    const store = await storeWith("1h", "somebody-else");
    const text = await whyUnavailable(store.get(newPath(), signal));
    expect(text).toContain("gives no token to the role somebody-else: answered 400 (invalid role name)");
  });

  test("with a ServiceAccount's token that is gone or no good makes calls unavailable until there is a good one", async () => {
    const store = await storeWith("1h");
    const [bad] = [await kubernetes.replaceJwt(), await kubernetes.replaceJwt()];
    await writeFile(kubernetes.jwtFile, bad);
    const texts = await Promise.all(Array.from({ length: 20 }, () => whyUnavailable(store.get(newPath(), signal))));
    expect(texts[0]).toContain("gives no token to the role operator-management: answered 403");
    expectNothingOf([bad], texts);
    // One by the first who came, one for all who found that one under way.
    expect(kubernetes.reviewed).toEqual([bad, bad]);
    await writeFile(kubernetes.jwtFile, "");
    expect(await whyUnavailable(store.get(newPath(), signal))).toContain(kubernetes.jwtFile);
    await kubernetes.replaceJwt();
    expect(await store.get(newPath(), signal)).toBeUndefined();
  });

  test("ends by itself while Vault is frozen", async () => {
    const store = await storeWith("1h");
    vault.server.pause();
    expect(await whyUnavailable(store.get(newPath(), signal))).toContain("no answer in time");
    vault.server.resume();
    expect(await store.get(newPath(), signal)).toBeUndefined();
  });
});

/** Reads one secret whenever told to. */
async function readingOf(store: VaultSecretStore): Promise<{ again: () => Promise<void>; readonly failed: unknown[] }> {
  const [path, secret, failed] = [newPath(), newSecret(), [] as unknown[]];
  await store.put(path, secret, signal);
  const again = async (): Promise<void> => {
    try {
      expect(await store.get(path, signal)).toEqual(secret);
    } catch (error) {
      failed.push(error);
    }
  };
  return { again, failed };
}
