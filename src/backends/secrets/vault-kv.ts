import type { VaultClient } from "./vault-client.ts";
import { CAS_MISMATCH, VaultError } from "./vault-error.ts";
import { vaultPath } from "./vault-path.ts";

/** The fields of a stored value. */
export type VaultFields = Readonly<Record<string, unknown>>;

/** One mount of Vault's KV engine, version 2. All paths are below the mount and not escaped. */
export class VaultKv {
  readonly #client: VaultClient;
  readonly #mount: string;

  constructor(client: VaultClient, mount: string) {
    this.#client = client;
    this.#mount = vaultPath(mount);
  }

  /**
   * The value at a path, the newest version unless told otherwise; undefined when there is none, or it is deleted or destroyed.
   * @throws VaultError, the signal's reason
   */
  async get(path: string, options: { readonly version?: number; readonly signal: AbortSignal }): Promise<unknown> {
    const query = options.version === undefined ? "" : `?version=${options.version}`;
    try {
      const answer = await this.#client.read(`${this.#url("data", path)}${query}`, options.signal);
      return (answer as { data?: { data?: unknown } }).data?.data;
    } catch (error) {
      // With a reason it would be another 404: there is no such mount.
      if (error instanceof VaultError && error.status === 404 && error.reasons.length === 0) return undefined;
      throw error;
    }
  }

  /**
   * Writes version 1 of a path; false if there is, or was, one.
   * @throws VaultError, after which it may be written or not; the signal's reason
   */
  async create(path: string, data: VaultFields, signal: AbortSignal): Promise<boolean> {
    let answer: unknown;
    try {
      answer = await this.#client.write(this.#url("data", path), { options: { cas: 0 }, data }, signal);
    } catch (error) {
      if (error instanceof VaultError && error.reasons.includes(CAS_MISMATCH)) return false;
      throw error;
    }
    // Version 1 of the engine takes the request for a value, and overwrites.
    if ((answer as { data?: { version?: unknown } } | undefined)?.data?.version === 1) return true;
    throw new VaultError(`Vault: the mount ${this.#mount} is no KV engine of version 2`);
  }

  /** Changes the state of version 1 of a path; no error where there is none. @throws VaultError, the signal's reason */
  async change(action: "delete" | "undelete" | "destroy", path: string, signal: AbortSignal): Promise<void> {
    await this.#client.write(this.#url(action, path), { versions: [1] }, signal);
  }

  close(): void {
    this.#client.close();
  }

  #url(action: string, path: string): string {
    return `${this.#mount}/${action}/${vaultPath(path)}`;
  }
}
