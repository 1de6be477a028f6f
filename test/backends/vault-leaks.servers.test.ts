import { execFile } from "node:child_process";
import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { createServer } from "node:http";
import { createServer as createSecureServer } from "node:https";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import type { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { startVault } from "../cluster/vault.ts";
import { newCertificate } from "../credentials/certificates.ts";
import { lossyProxy } from "./lossy-proxy.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { expectNothingOf, failureOf, storeOn, tokenFileWith } from "./vault-support.ts";

const { signal } = new AbortController();
const PASSWORD = "planted-password-7f3a";

test("no error of any kind of failure holds the token or the password", async () => {
  await using vault = await startVault();
  await using proxy = await lossyProxy(vault.addr);
  const token = await readFile(vault.tokenFile, "utf8");
  const [store, secret] = [storeOn(vault), newSecret(PASSWORD)];
  const path = newPath();
  await store.put(path, secret, signal);
  const errors: unknown[] = [];
  const put = async (on: VaultSecretStore, at = newPath()): Promise<void> => {
    errors.push(await failureOf(on.put(at, secret, signal)), await failureOf(on.put(at, secret, signal)));
  };
  await put(store, path); // exists
  await put(store, "other/path"); // not allowed
  await put(store, `${newPath()}/a\nb`); // 400
  await put(storeOn({ addr: proxy.addr, tokenFile: vault.tokenFile })); // the answer is cut off
  await put(storeOn({ addr: "http://127.0.0.1:1", tokenFile: vault.tokenFile })); // refused
  await put(storeOn({ addr: vault.addr.replace("http:", "https:"), tokenFile: vault.tokenFile })); // no TLS
  await put(storeOn({ addr: vault.addr.replace("//", `//user:${PASSWORD}@`), tokenFile: vault.tokenFile }));
  await vault.seal();
  await put(store);
  await vault.unseal();
  await vault.revokeServiceToken();
  await put(store);
  await vault.server.kill();
  await put(store);
  expect(errors).toHaveLength(20);
  expectNothingOf([token, PASSWORD, secret.clientCertificate!.keyPem], errors);
});

test.each([
  ["of several lines", "s.planted-token\ns.planted-other"],
  ["that can't stand in a header", "s.planted-tökén\u0000"],
])("a token %s is none, and isn't quoted", async (_, content) => {
  await using file = await tokenFileWith(content);
  const error = await failureOf(storeOn({ addr: "http://127.0.0.1:1", tokenFile: file.path }).get(newPath(), signal));
  expect(error).toMatchObject({ cause: { message: expect.stringContaining("no token in ") as string } });
  expectNothingOf([content, "planted"], error);
});

test("what a server repeats of a request isn't repeated, nor is the token sent to where it points", async () => {
  await using vault = await startVault();
  const token = await readFile(vault.tokenFile, "utf8");
  const seen: string[] = [];
  let mode: "400" | "garbage" | "redirect" = "400";
  const server = createServer((request, response) => {
    seen.push(request.url ?? "");
    if (mode === "redirect") return response.writeHead(307, { location: "/elsewhere" }).end();
    response.statusCode = mode === "400" ? 400 : 200;
    const echoed = `can't take ${PASSWORD} with ${token}`;
    return response.end(mode === "400" ? JSON.stringify({ errors: [echoed] }) : echoed);
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  const store = storeOn({ addr: `http://127.0.0.1:${port}`, tokenFile: vault.tokenFile });
  for (mode of ["400", "garbage", "redirect"] as const) {
    const error = await failureOf(store.put(newPath(), newSecret(PASSWORD), signal));
    expect(error).toMatchObject({ name: "SecretStoreUnavailableError" });
    expectNothingOf([token, PASSWORD], error);
  }
  expect(seen).toHaveLength(3);
  expect(seen.join()).not.toContain("elsewhere");
  server.closeAllConnections();
  server.close();
});

test("an environment that leads node-vault elsewhere, or lets it talk, changes nothing", async () => {
  await using vault = await startVault();
  const token = await readFile(vault.tokenFile, "utf8");
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ["--conditions=source", join(import.meta.dirname, "vault-leaks-child.ts"), vault.addr, vault.tokenFile, PASSWORD],
    {
      env: {
        ...process.env,
        ...{
          VAULT_ADDR: "http://127.0.0.1:1",
          VAULT_TOKEN: "s.other",
          VAULT_PREFIX: "/other",
          VAULT_NAMESPACE: "other",
        },
        ...{ VAULT_SKIP_VERIFY: "1", HTTP_PROXY: "http://127.0.0.1:1", DEBUG: "*" },
      },
    },
  );
  expect(stdout).toContain("SecretExistsError");
  expect(stdout).toContain("its policies don't allow this");
  expect(stdout).toContain("done");
  expectNothingOf([token, PASSWORD], { stdout, stderr });
});

test("a server whose certificate isn't trusted gets no token, VAULT_SKIP_VERIFY or not", async () => {
  await using file = await tokenFileWith("s.planted-token");
  const { chainPem, keyPem } = newCertificate();
  let requests = 0;
  const server = createSecureServer({ key: keyPem, cert: chainPem }, (_, response) => {
    requests++;
    response.end("{}");
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  const { port } = server.address() as AddressInfo;
  process.env["VAULT_SKIP_VERIFY"] = "1";
  try {
    const store = storeOn({ addr: `https://127.0.0.1:${port}`, tokenFile: file.path });
    const error = await failureOf(store.get(newPath(), signal));
    expect(error).toMatchObject({ cause: { message: expect.stringContaining("SELF_SIGNED") as string } });
  } finally {
    delete process.env["VAULT_SKIP_VERIFY"];
    server.close();
  }
  expect(requests).toBe(0);
});
