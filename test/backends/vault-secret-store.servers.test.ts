import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { toBinary } from "@bufbuild/protobuf";
import { ConnectionSecretSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import {
  SecretDamagedError,
  SecretExistsError,
  SecretStoreUnavailableError,
} from "../../src/backends/secrets/secret-store.ts";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { startVault, type Vault } from "../cluster/vault.ts";
import { lossyProxy } from "./lossy-proxy.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { secretStoreContract } from "./secret-store-contract.ts";
import { expectNothingOf, failureOf, noLog, storeOn, tokenFileWith, whyUnavailable } from "./vault-support.ts";

const { signal } = new AbortController();

let vault: Vault;
let store: VaultSecretStore;
beforeAll(async () => {
  vault = await startVault();
  store = storeOn(vault);
});
afterAll(async () => {
  await store.close();
  await vault[Symbol.asyncDispose]();
});

secretStoreContract("Vault", () => store);

describe("a secret in Vault", () => {
  test("is one field with the encoded message, as version 1", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    const { data } = await vault.api.call("GET", `secret/data/${path}`);
    expect(data).toMatchObject({
      data: { connection_secret: Buffer.from(toBinary(ConnectionSecretSchema, secret)).toString("base64") },
      metadata: { version: 1 },
    });
  });

  test("is gone for good after destroy, while its path stays taken", async () => {
    const path = newPath();
    await store.put(path, newSecret(), signal);
    await store.destroy(path, signal);
    const { data } = await vault.api.call("GET", `secret/metadata/${path}`);
    expect(data).toMatchObject({ current_version: 1, versions: { 1: { destroyed: true } } });
  });

  test("stays what it was when somebody writes another version by hand", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    await vault.api.call("PUT", `secret/data/${path}`, { data: { note: "by hand" } });
    expect(await store.get(path, signal)).toEqual(secret);
  });

  test.each([
    ["without the field", { password: "planted-password-7f3a" }],
    ["that is no text", { connection_secret: 7 }],
    ["that is no base64", { connection_secret: `${encoded("planted-password-7f3a")}!` }],
    ["that is another message", { connection_secret: Buffer.from("planted-password-7f3a").toString("base64") }],
  ])("%s is damaged, and the error doesn't show it", async (_, data) => {
    const path = newPath();
    await vault.api.call("PUT", `secret/data/${path}`, { data });
    const error = await failureOf(store.get(path, signal));
    expect(error).toBeInstanceOf(SecretDamagedError);
    expectNothingOf(["planted-password-7f3a"], error);
  });

  test.each(["a b", "a?version=2", "a#b", "a%2Fb", "a%", "a&#x2F;b", "é", "sys/health"])(
    "has a path of its own at ops/…/%s",
    async (name) => {
      const [path, secret] = [`${newPath()}/${name}`, newSecret()];
      // Before there is one: a bad answer would be taken for a good one where the path holds "sys/health".
      expect(await store.get(path, signal)).toBeUndefined();
      await store.put(path, secret, signal);
      expect(await store.get(path, signal)).toEqual(secret);
      const { data } = await vault.api.call("GET", `secret/metadata/${path.slice(0, path.lastIndexOf("/"))}?list=true`);
      expect((data as { keys: string[] }).keys).toEqual([path.slice(path.lastIndexOf("/") + 1)]);
    },
  );

  test("can't be asked for outside of the mount", async () => {
    await expect(store.get("ops/../../../sys/mounts", signal)).rejects.toThrow(TypeError);
  });
});

test("a put whose answer is lost fails as unavailable, is not repeated, and leaves the secret to be removed", async () => {
  await using proxy = await lossyProxy(vault.addr);
  const cut = storeOn({ addr: proxy.addr, tokenFile: vault.tokenFile });
  const [path, secret] = [newPath(), newSecret()];
  await expect(cut.put(path, secret, signal)).rejects.toThrow(SecretStoreUnavailableError);
  expect(proxy.answersLost).toBe(1);
  expect(await store.get(path, signal)).toEqual(secret);
  await store.delete(path, signal);
  await expect(store.put(path, newSecret(), signal)).rejects.toThrow(SecretExistsError);
});

describe("a mount that is set wrong", () => {
  const storeAt = (mount: string, tokenFile = vault.tokenFile): VaultSecretStore =>
    new VaultSecretStore(openVault({ addr: vault.addr, mount, login: { tokenFile } }, noLog));

  test("is unavailable, not a missing secret: the policy doesn't allow it", async () => {
    const text = await whyUnavailable(storeAt("elsewhere").get(newPath(), signal));
    expect(text).toContain("its policies don't allow this");
  });

  test("is unavailable, not a missing secret: nothing is mounted there", async () => {
    await using file = await tokenFileWith(vault.rootToken);
    const text = await whyUnavailable(storeAt("elsewhere", file.path).get(newPath(), signal));
    expect(text).toContain("answered 404 (no handler for route)");
  });

  test("is unavailable, not an overwritten secret: an engine of version 1", async () => {
    await vault.api.call("PUT", "sys/mounts/old", { type: "kv", options: { version: "1" } });
    await using file = await tokenFileWith(vault.rootToken);
    const text = await whyUnavailable(storeAt("old", file.path).put(newPath(), newSecret(), signal));
    expect(text).toContain("no KV engine of version 2");
  });
});

test("a web server that isn't Vault is unavailable, not a missing secret", async () => {
  const server = createServer((_, response) =>
    response.writeHead(404, { "content-type": "text/html" }).end("<h1>404</h1>"),
  );
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const foreign = storeOn({ addr: `http://127.0.0.1:${port}`, tokenFile: vault.tokenFile });
  await expect(foreign.get(newPath(), signal)).rejects.toThrow(SecretStoreUnavailableError);
  server.closeAllConnections();
  server.close();
});

/** A secret as it is stored. */
function encoded(password: string): string {
  return Buffer.from(toBinary(ConnectionSecretSchema, newSecret(password))).toString("base64");
}
