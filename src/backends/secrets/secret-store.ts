import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";

/**
 * Keeps the secret parts of credentials, one immutable secret per path. Two kinds pass the same contract tests: files in the data
 * folder, and Vault. No error of a store, nor its cause, holds anything of a secret.
 */
export interface SecretStore {
  /**
   * Stores a secret at a path that never held one; durable once it resolves. If it rejects, the secret may be stored or not.
   * @throws SecretExistsError also after a delete or destroy
   * @throws SecretStoreUnavailableError
   */
  put(path: string, secret: ConnectionSecret, signal: AbortSignal): Promise<void>;
  /**
   * The secret at a path; undefined when there is none, or it is deleted or destroyed.
   * @throws SecretDamagedError
   * @throws SecretStoreUnavailableError
   */
  get(path: string, signal: AbortSignal): Promise<ConnectionSecret | undefined>;
  /** Makes a secret unreadable, recoverably. No error where there is none. @throws SecretStoreUnavailableError */
  delete(path: string, signal: AbortSignal): Promise<void>;
  /** Makes a deleted secret readable again. No error where there is none. @throws SecretStoreUnavailableError */
  undelete(path: string, signal: AbortSignal): Promise<void>;
  /** Removes a secret, deleted or not, for good. No error where there is none. @throws SecretStoreUnavailableError */
  destroy(path: string, signal: AbortSignal): Promise<void>;
  /** Ends what is under way; the store is not used afterwards. */
  close(): Promise<void>;
}

/** The path holds a secret, or held one: paths are never used again. */
export class SecretExistsError extends Error {
  override readonly name = "SecretExistsError";
  constructor(path: string) {
    super(`there is, or was, a secret at ${path}`);
  }
}

/** What is stored can't be turned back into the secret: changed bytes, another key, a file that stands in for another. */
export class SecretDamagedError extends Error {
  override readonly name = "SecretDamagedError";
  constructor(path: string, what: string) {
    super(`the secret at ${path} is damaged: ${what}`);
  }
}

/** The store doesn't answer, or can't read or write; trying again may help. */
export class SecretStoreUnavailableError extends Error {
  override readonly name = "SecretStoreUnavailableError";
  constructor(action: string, path: string, options?: ErrorOptions) {
    super(`the secret store can't ${action} ${path}`, options);
  }
}
