import { execFile, spawn } from "node:child_process";
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { EmbeddedSecretStore } from "../../src/backends/secrets/embedded-secret-store.ts";
import { SecretKeyError } from "../../src/backends/secrets/secret-key.ts";
import { SecretDamagedError, SecretStoreUnavailableError } from "../../src/backends/secrets/secret-store.ts";
import { newPath, newSecret } from "./new-secret.ts";
import { secretStoreContract } from "./secret-store-contract.ts";

const { signal } = new AbortController();
const folders: string[] = [];

async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "secret-store-"));
  folders.push(folder);
  return folder;
}

afterAll(async () => {
  for (const folder of folders) await rm(folder, { recursive: true });
});

let shared: EmbeddedSecretStore;
beforeAll(async () => {
  shared = await EmbeddedSecretStore.open(await newFolder());
});
secretStoreContract("the embedded store", () => shared);

describe("the embedded secret store's files", () => {
  let dataDir: string;
  let store: EmbeddedSecretStore;
  const secretFiles = async (): Promise<string[]> =>
    (await readdir(join(dataDir, "secrets"))).map((name) => join(dataDir, "secrets", name));

  beforeEach(async () => {
    dataDir = await newFolder();
    store = await EmbeddedSecretStore.open(dataDir);
  });

  test("outlive the process", async () => {
    const [path, secret] = [newPath(), newSecret()];
    await store.put(path, secret, signal);
    await store.close();
    const reopened = await EmbeddedSecretStore.open(dataDir);
    expect(await reopened.get(path, signal)).toEqual(secret);
  });

  test("and the key are readable by their owner only", async () => {
    await store.put(newPath(), newSecret(), signal);
    const mode = async (file: string): Promise<string> => ((await stat(file)).mode & 0o777).toString(8);
    expect(await mode(join(dataDir, "secret.key"))).toBe("600");
    expect(await mode(join(dataDir, "secrets"))).toBe("700");
    expect(await Promise.all((await secretFiles()).map(mode))).toEqual(["600"]);
  });

  test("hold neither the password nor the path, and differ for the same secret", async () => {
    const secret = newSecret("planted-password-7f3a");
    const paths = [newPath(), newPath()];
    for (const path of paths) await store.put(path, secret, signal);
    const [first, second] = await Promise.all((await secretFiles()).map((file) => readFile(file)));
    expect(first!.equals(second!)).toBe(false);
    for (const needle of ["planted-password-7f3a", "acme", "PRIVATE KEY", ...paths]) {
      expect(Buffer.concat([first!, second!]).includes(needle)).toBe(false);
      expect((await secretFiles()).join().includes(needle)).toBe(false);
    }
  });

  test("are refused as damaged after a change to any byte, without showing the secret", async () => {
    const path = newPath();
    await store.put(path, newSecret("planted-password-7f3a"), signal);
    const [file] = await secretFiles();
    const whole = await readFile(file!);
    for (let index = 0; index < whole.length; index++) {
      const changed = Buffer.from(whole);
      changed[index]! ^= 0x01;
      await writeFile(file!, changed);
      const error: unknown = await store.get(path, signal).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(SecretDamagedError);
      expect(String((error as Error).stack)).not.toContain("planted-password");
    }
  });

  test.each([0, 1, 28, 40])("are refused as damaged when cut to %i bytes", async (length) => {
    const path = newPath();
    await store.put(path, newSecret(), signal);
    const [file] = await secretFiles();
    await writeFile(file!, (await readFile(file!)).subarray(0, length));
    await expect(store.get(path, signal)).rejects.toThrow(SecretDamagedError);
  });

  test("are refused as damaged when they grew beyond any secret's size", async () => {
    const path = newPath();
    await store.put(path, newSecret(), signal);
    const [file] = await secretFiles();
    await writeFile(file!, Buffer.alloc(300 * 1024, 1));
    await expect(store.get(path, signal)).rejects.toThrow(SecretDamagedError);
  });

  test("can't stand in for one another", async () => {
    const [mine, other] = [newPath(), newPath()];
    await store.put(mine, newSecret(), signal);
    const [myFile] = await secretFiles();
    const myBytes = await readFile(myFile!);
    await store.put(other, newSecret(), signal);
    const otherFile = (await secretFiles()).find((file) => file !== myFile);
    await writeFile(otherFile!, myBytes);
    await expect(store.get(other, signal)).rejects.toThrow(SecretDamagedError);
  });

  test("that were left unfinished by a crash are removed at the next start", async () => {
    await writeFile(join(dataDir, "secrets", "0f.secret.0123456789ab.tmp"), "half a fi");
    await EmbeddedSecretStore.open(dataDir);
    expect(await secretFiles()).toEqual([]);
  });

  test("that can't be read are reported as unavailable, with the cause", async () => {
    await rm(join(dataDir, "secrets"), { recursive: true });
    await writeFile(join(dataDir, "secrets"), "not a folder");
    await expect(store.get(newPath(), signal)).rejects.toThrow(SecretStoreUnavailableError);
    await expect(store.put(newPath(), newSecret(), signal)).rejects.toThrow(SecretStoreUnavailableError);
  });

  test("are never left behind with a new key: a missing or cut key stops the start", async () => {
    await store.put(newPath(), newSecret(), signal);
    const keyFile = join(dataDir, "secret.key");
    const key = await readFile(keyFile);
    await rm(keyFile);
    await expect(EmbeddedSecretStore.open(dataDir)).rejects.toThrow(SecretKeyError);
    await writeFile(keyFile, key.subarray(0, 31));
    await expect(EmbeddedSecretStore.open(dataDir)).rejects.toThrow(SecretKeyError);
  });
});

test("every secret whose put was acknowledged survives kill -9", { timeout: 60_000 }, async () => {
  const dataDir = await newFolder();
  const acknowledged: { path: string; password: string }[] = [];
  for (let round = 0; round < 3; round++) {
    const writer = spawn(
      process.execPath,
      ["--conditions=source", join(import.meta.dirname, "secret-writer.ts"), dataDir],
      {
        stdio: ["ignore", "pipe", "inherit"],
      },
    );
    let output = "";
    await new Promise<void>((resolve, reject) => {
      writer.once("error", reject);
      writer.stdout.on("data", (chunk: Buffer) => {
        output += chunk.toString();
        if (output.split("\n").length > 20) writer.kill("SIGKILL");
      });
      writer.once("close", () => resolve());
    });
    const whole = output.split("\n").slice(0, -1);
    acknowledged.push(...whole.map((line) => JSON.parse(line) as { path: string; password: string }));
  }
  const store = await EmbeddedSecretStore.open(dataDir);
  expect(acknowledged.length).toBeGreaterThanOrEqual(60);
  for (const { path, password } of acknowledged) expect((await store.get(path, signal))?.password).toBe(password);
  expect((await readdir(join(dataDir, "secrets"))).filter((name) => name.endsWith(".tmp"))).toEqual([]);
});

test("two processes that start at once agree on one key", async () => {
  const dataDir = await newFolder();
  const script = `import { EmbeddedSecretStore } from ${JSON.stringify(new URL("../../src/backends/secrets/embedded-secret-store.ts", import.meta.url).href)};
    await EmbeddedSecretStore.open(${JSON.stringify(dataDir)});`;
  const start = (): Promise<unknown> =>
    promisify(execFile)(process.execPath, ["--conditions=source", "--input-type=module", "--eval", script]);
  await Promise.all([start(), start()]);
  expect((await readFile(join(dataDir, "secret.key"))).length).toBe(32);
});
