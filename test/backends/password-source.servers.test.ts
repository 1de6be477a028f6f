import { writeFile } from "node:fs/promises";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import {
  passwordFromFile,
  passwordFromVault,
  PasswordUnavailableError,
  type PasswordSource,
} from "../../src/backends/secrets/password-source.ts";
import { openVault } from "../../src/backends/secrets/vault-open.ts";
import { startVault, type Vault } from "../cluster/vault.ts";
import { expectNothingOf, failureOf, noLog, tokenFileWith } from "./vault-support.ts";

describe("a password from a file", () => {
  test("is the file's content as it is now, without the newline at its end", async () => {
    await using file = await tokenFileWith("planted-7f3a \n");
    const source = passwordFromFile(file.path);
    expect(await source.get()).toBe("planted-7f3a ");
    await writeFile(file.path, "next");
    expect(await source.get()).toBe("next");
  });

  test("that isn't there, or empty, is unavailable; the error names the file", async () => {
    await using file = await tokenFileWith("\n");
    for (const path of [file.path, `${file.path}.not-yet`]) {
      const error = await failureOf(passwordFromFile(path).get());
      expect(error).toBeInstanceOf(PasswordUnavailableError);
      expect((error as Error).message).toContain(path);
    }
  });
});

describe("a password from Vault", () => {
  const PATH = "ops/service/postgres";
  let vault: Vault;
  let source: PasswordSource;
  beforeAll(async () => {
    vault = await startVault();
  });
  afterAll(() => vault[Symbol.asyncDispose]());
  beforeEach(async () => {
    const kv = openVault({ addr: vault.addr, mount: "secret", login: { tokenFile: vault.tokenFile } }, noLog);
    source = passwordFromVault(kv, PATH);
    await set({ password: "planted-first" });
  });

  const set = (data: object): Promise<unknown> => vault.api.call("PUT", `secret/data/${PATH}`, { data });

  test("is the field `password`, kept until it is forgotten: then it is what is there by now", async () => {
    expect(await source.get()).toBe("planted-first");
    await set({ password: "planted-second" });
    expect(await source.get()).toBe("planted-first");
    source.forget();
    expect(await source.get()).toBe("planted-second");
  });

  test("is kept while Vault is away; asking for it fails typed when it isn't known, and works again later", async () => {
    expect(await source.get()).toBe("planted-first");
    await vault.seal();
    expect(await source.get()).toBe("planted-first");
    source.forget();
    const error = await failureOf(source.get());
    expect(error).toBeInstanceOf(PasswordUnavailableError);
    expectNothingOf(["planted-first"], error);
    await vault.unseal();
    expect(await source.get()).toBe("planted-first");
  });

  test("that was asked for before it was forgotten doesn't come back", async () => {
    const before = source.get();
    source.forget();
    await before;
    await set({ password: "planted-second" });
    source.forget();
    const [one, other] = await Promise.all([source.get(), source.get()]);
    expect([one, other]).toEqual(["planted-second", "planted-second"]);
  });

  test.each([[{}], [{ password: "" }], [{ password: 7 }], [{ user: "planted-first" }]])(
    "isn't there with the fields %j; the error shows nothing of them",
    async (data) => {
      await set(data);
      const error = await failureOf(source.get());
      expect(error).toBeInstanceOf(PasswordUnavailableError);
      expect((error as Error).message).toContain(PATH);
      expectNothingOf(["planted-first"], error);
    },
  );

  test("isn't waited for by a caller who gives up; the others get it", async () => {
    const caller = new AbortController();
    const [given, patient] = [failureOf(source.get(caller.signal)), source.get()];
    caller.abort(new Error("the caller hung up"));
    expect(await given).toMatchObject({ message: "the caller hung up" });
    expect(await patient).toBe("planted-first");
    expectNothingOf(["planted-first"], source);
  });
});
