import { describe, expect, test } from "vitest";
import { SecretExistsError, type SecretStore } from "../../src/backends/secrets/secret-store.ts";
import { newPath, newSecret } from "./new-secret.ts";

/** What every SecretStore must do. `store` gives the one under test, empty or not. */
export function secretStoreContract(name: string, store: () => SecretStore): void {
  const { signal } = new AbortController();

  describe(`${name} as a secret store`, () => {
    test("gives back what was put", async () => {
      const [path, secret] = [newPath(), newSecret()];
      await store().put(path, secret, signal);
      expect(await store().get(path, signal)).toEqual(secret);
    });

    test("keeps an empty password and one of every printable character", async () => {
      const printable = Array.from({ length: 95 }, (_, index) => String.fromCharCode(0x20 + index)).join("");
      for (const password of ["", printable]) {
        const path = newPath();
        await store().put(path, newSecret(password), signal);
        expect((await store().get(path, signal))?.password).toBe(password);
      }
    });

    test("has nothing at a path where nothing was put", async () => {
      expect(await store().get(newPath(), signal)).toBeUndefined();
    });

    test("refuses a second put to a path and keeps the first secret", async () => {
      const [path, first] = [newPath(), newSecret()];
      await store().put(path, first, signal);
      await expect(store().put(path, newSecret(), signal)).rejects.toThrow(SecretExistsError);
      expect(await store().get(path, signal)).toEqual(first);
    });

    test("lets exactly one of many concurrent puts to a path win", async () => {
      const path = newPath();
      const secrets = Array.from({ length: 8 }, () => newSecret());
      const puts = await Promise.allSettled(secrets.map((secret) => store().put(path, secret, signal)));
      const winners = secrets.filter((_, index) => puts[index]?.status === "fulfilled");
      expect(winners).toHaveLength(1);
      expect(await store().get(path, signal)).toEqual(winners[0]);
    });

    test("hides a deleted secret and shows it again after undelete", async () => {
      const [path, secret] = [newPath(), newSecret()];
      await store().put(path, secret, signal);
      await store().delete(path, signal);
      expect(await store().get(path, signal)).toBeUndefined();
      await store().undelete(path, signal);
      expect(await store().get(path, signal)).toEqual(secret);
    });

    test.each(["as it is", "after a delete"])("destroys a secret for good, %s", async (state) => {
      const path = newPath();
      await store().put(path, newSecret(), signal);
      if (state === "after a delete") await store().delete(path, signal);
      await store().destroy(path, signal);
      await store().undelete(path, signal);
      expect(await store().get(path, signal)).toBeUndefined();
    });

    test.each(["delete", "destroy"] as const)("never reuses a path, also after %s", async (end) => {
      const path = newPath();
      await store().put(path, newSecret(), signal);
      await store()[end](path, signal);
      await expect(store().put(path, newSecret(), signal)).rejects.toThrow(SecretExistsError);
    });

    test("deletes, undeletes and destroys what isn't there, and twice, without an error", async () => {
      const path = newPath();
      for (const action of ["delete", "undelete", "destroy", "destroy", "delete"] as const) {
        await store()[action](path, signal);
      }
      expect(await store().get(path, signal)).toBeUndefined();
    });

    test("keeps secrets apart whose paths differ only in the last part", async () => {
      const base = newPath();
      const [first, second] = [newSecret(), newSecret()];
      await store().put(`${base}1`, first, signal);
      await store().put(`${base}2`, second, signal);
      await store().destroy(`${base}1`, signal);
      expect(await store().get(`${base}2`, signal)).toEqual(second);
    });

    test("does nothing for a caller that has given up", async () => {
      const path = newPath();
      const gone = AbortSignal.abort(new Error("the caller hung up"));
      await expect(store().put(path, newSecret(), gone)).rejects.toThrow("the caller hung up");
      expect(await store().get(path, signal)).toBeUndefined();
    });
  });
}
