import { createHash } from "node:crypto";
import { access, mkdir, open, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { errnoOf, syncFolder, UNFINISHED, writeNewFile } from "../durable-file.ts";
import { loadSecretKey } from "./secret-key.ts";
import { openSecret, sealSecret } from "./sealed-secret.ts";
import {
  SecretDamagedError,
  SecretExistsError,
  SecretStoreUnavailableError,
  type SecretStore,
} from "./secret-store.ts";

/** Far above the largest secret (a password and 48 KiB of PEM): a file that grew must not be read into memory. */
const MAX_FILE_BYTES = 256 * 1024;

/** Which life of a secret a file stands for. A destroyed one is empty and only keeps the path from being used again. */
type Life = "secret" | "deleted" | "destroyed";

/**
 * Secrets as files in `<dataDir>/secrets`, each encrypted with `<dataDir>/secret.key`, named by a hash of its path. Survives being killed
 * at any moment. The data folder's lock keeps a second process away.
 */
export class EmbeddedSecretStore implements SecretStore {
  readonly #folder: string;
  readonly #key: Uint8Array;
  /** Writes happen one after the other, so that a put never meets a delete half-way. */
  #lastWrite: Promise<unknown> = Promise.resolve();

  private constructor(folder: string, key: Uint8Array) {
    this.#folder = folder;
    this.#key = key;
  }

  /** @throws SecretKeyError when the key is missing or damaged */
  static async open(dataDir: string): Promise<EmbeddedSecretStore> {
    const folder = join(dataDir, "secrets");
    await mkdir(folder, { recursive: true, mode: 0o700 });
    const files = await readdir(folder);
    for (const file of files) {
      if (file.endsWith(UNFINISHED)) await rm(join(folder, file), { force: true });
    }
    const secretsExist = files.some((file) => file.endsWith(".secret") || file.endsWith(".deleted"));
    return new EmbeddedSecretStore(folder, await loadSecretKey(join(dataDir, "secret.key"), secretsExist));
  }

  put(path: string, secret: ConnectionSecret, signal: AbortSignal): Promise<void> {
    return this.#write("write", path, signal, async () => {
      for (const life of ["deleted", "destroyed"] as const) {
        if (await exists(this.#file(path, life))) throw new SecretExistsError(path);
      }
      const isNew = await writeNewFile(this.#file(path, "secret"), sealSecret(this.#key, path, secret));
      if (!isNew) throw new SecretExistsError(path);
    });
  }

  async get(path: string, signal: AbortSignal): Promise<ConnectionSecret | undefined> {
    signal.throwIfAborted();
    const sealed = await this.#read(path);
    return sealed && openSecret(this.#key, path, sealed);
  }

  delete(path: string, signal: AbortSignal): Promise<void> {
    return this.#write("delete", path, signal, () => this.#rename(path, "secret", "deleted"));
  }

  undelete(path: string, signal: AbortSignal): Promise<void> {
    return this.#write("undelete", path, signal, () => this.#rename(path, "deleted", "secret"));
  }

  destroy(path: string, signal: AbortSignal): Promise<void> {
    return this.#write("destroy", path, signal, async () => {
      const [secret, deleted] = [this.#file(path, "secret"), this.#file(path, "deleted")];
      if (!(await exists(secret)) && !(await exists(deleted))) return;
      // First, so that a crash in between can't free the path.
      await writeNewFile(this.#file(path, "destroyed"), new Uint8Array());
      await rm(secret, { force: true });
      await rm(deleted, { force: true });
      await syncFolder(this.#folder);
    });
  }

  async close(): Promise<void> {
    await this.#lastWrite;
  }

  #file(path: string, life: Life): string {
    return join(this.#folder, `${createHash("sha256").update(path).digest("hex")}.${life}`);
  }

  async #rename(path: string, from: Life, to: Life): Promise<void> {
    try {
      await rename(this.#file(path, from), this.#file(path, to));
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return;
      throw error;
    }
    await syncFolder(this.#folder);
  }

  async #read(path: string): Promise<Uint8Array | undefined> {
    try {
      const handle = await open(this.#file(path, "secret"), "r");
      try {
        const { size } = await handle.stat();
        if (size > MAX_FILE_BYTES) throw new SecretDamagedError(path, `${size} bytes are too many`);
        return await handle.readFile();
      } finally {
        await handle.close();
      }
    } catch (error) {
      if (errnoOf(error) === "ENOENT") return undefined;
      if (error instanceof SecretDamagedError) throw error;
      throw new SecretStoreUnavailableError("read", path, { cause: error });
    }
  }

  #write(action: string, path: string, signal: AbortSignal, work: () => Promise<void>): Promise<void> {
    const done = this.#lastWrite.then(async () => {
      signal.throwIfAborted();
      try {
        await work();
      } catch (error) {
        if (error instanceof SecretExistsError) throw error;
        throw new SecretStoreUnavailableError(action, path, { cause: error });
      }
    });
    // The caller has the rejection; the next write only waits.
    this.#lastWrite = done.catch(() => undefined);
    return done;
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await access(file);
    return true;
  } catch (error) {
    if (errnoOf(error) === "ENOENT") return false;
    throw error;
  }
}
