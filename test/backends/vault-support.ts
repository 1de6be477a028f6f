import { writeFile } from "node:fs/promises";
import { join } from "node:path";
import { inspect } from "node:util";
import { expect } from "vitest";
import { SecretStoreUnavailableError } from "../../src/backends/secrets/secret-store.ts";
import { VaultError } from "../../src/backends/secrets/vault-error.ts";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { VaultSecretStore } from "../../src/backends/secrets/vault-secret-store.ts";
import { temporaryFolder } from "../cluster/temporary-folder.ts";
import type { Vault } from "../cluster/vault.ts";

/** For tests in which nothing is to be logged. */
export const noLog = {
  warn: (...args: unknown[]): void => {
    throw new Error(`unexpected log: ${inspect(args)}`);
  },
};

/** The service's store on a Vault, with the token in its file. */
export function storeOn({ addr, tokenFile }: Pick<Vault, "addr" | "tokenFile">): VaultSecretStore {
  return new VaultSecretStore(openVault({ addr, mount: "secret", login: { tokenFile } }, noLog));
}

/** A file that holds a token, or whatever stands in for one. */
export async function tokenFileWith(content: string): Promise<{ readonly path: string } & AsyncDisposable> {
  const folder = await temporaryFolder("token");
  const path = join(folder.path, "token");
  await writeFile(path, content, { mode: 0o600 });
  return { path, [Symbol.asyncDispose]: folder.remove };
}

/** What a promise is rejected with. */
export async function failureOf(work: Promise<unknown>): Promise<unknown> {
  try {
    await work;
  } catch (error) {
    return error;
  }
  throw new Error("it didn't fail");
}

/** The reason that a call gives for failing with SecretStoreUnavailableError. */
export async function whyUnavailable(work: Promise<unknown>): Promise<string> {
  const error = await failureOf(work);
  expect(error).toBeInstanceOf(SecretStoreUnavailableError);
  const { cause } = error as SecretStoreUnavailableError;
  expect(cause).toBeInstanceOf(VaultError);
  return (cause as VaultError).message;
}

/** Looks where a log or a debugger would find something: the whole object, with all its causes, also what isn't enumerable. */
export function expectNothingOf(secrets: readonly string[], thing: unknown): void {
  const seen = [
    inspect(thing, { depth: 10, showHidden: true, maxStringLength: null }),
    JSON.stringify(thing, (_, value: unknown) =>
      value instanceof Error ? { ...value, message: value.message, stack: value.stack, cause: value.cause } : value,
    ),
  ].join("\n");
  for (const secret of secrets) {
    for (const form of [
      secret,
      Buffer.from(secret).toString("base64").replace(/=+$/, ""),
      encodeURIComponent(secret),
    ]) {
      expect(seen).not.toContain(form);
    }
  }
}
