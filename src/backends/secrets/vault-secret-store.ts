import { fromBinary, toBinary } from "@bufbuild/protobuf";
import {
  ConnectionSecretSchema,
  type ConnectionSecret,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import {
  SecretDamagedError,
  SecretExistsError,
  SecretStoreUnavailableError,
  type SecretStore,
} from "./secret-store.ts";
import { VaultError } from "./vault-error.ts";
import type { VaultKv } from "./vault-kv.ts";

/**
 * The one field of a stored value: the encoded ConnectionSecret in base64. Not a field each, so that what a newer release adds to the
 * message is kept by an older one, and no name stands here that the contract has already.
 */
const FIELD = "connection_secret";

/**
 * Secrets as version 1 of a path each in Vault. The path's metadata outlives the secret, so that `cas=0` refuses it for ever. A put whose
 * answer is lost is not repeated: the caller's next attempt uses a path of its own, and the sweep removes this one.
 */
export class VaultSecretStore implements SecretStore {
  readonly #kv: VaultKv;

  /** Needs no Vault yet: what can't be reached or is set wrong fails the calls. */
  constructor(kv: VaultKv) {
    this.#kv = kv;
  }

  async put(path: string, secret: ConnectionSecret, signal: AbortSignal): Promise<void> {
    const value = Buffer.from(toBinary(ConnectionSecretSchema, secret)).toString("base64");
    const isNew = await unavailable("write", path, this.#kv.create(path, { [FIELD]: value }, signal));
    if (!isNew) throw new SecretExistsError(path);
  }

  async get(path: string, signal: AbortSignal): Promise<ConnectionSecret | undefined> {
    const value = await unavailable("read", path, this.#kv.get(path, { version: 1, signal }));
    return value === undefined ? undefined : decode(path, value);
  }

  delete(path: string, signal: AbortSignal): Promise<void> {
    return unavailable("delete", path, this.#kv.change("delete", path, signal));
  }

  undelete(path: string, signal: AbortSignal): Promise<void> {
    return unavailable("undelete", path, this.#kv.change("undelete", path, signal));
  }

  destroy(path: string, signal: AbortSignal): Promise<void> {
    return unavailable("destroy", path, this.#kv.change("destroy", path, signal));
  }

  async close(): Promise<void> {
    this.#kv.close();
  }
}

async function unavailable<T>(action: string, path: string, work: Promise<T>): Promise<T> {
  try {
    return await work;
  } catch (error) {
    if (error instanceof VaultError) throw new SecretStoreUnavailableError(action, path, { cause: error });
    throw error;
  }
}

function decode(path: string, value: unknown): ConnectionSecret {
  const text: unknown = typeof value === "object" && value !== null && FIELD in value ? value[FIELD] : undefined;
  if (typeof text !== "string") throw new SecretDamagedError(path, `there is no field ${FIELD}`);
  const bytes = Buffer.from(text, "base64");
  // Buffer skips what isn't base64.
  if (bytes.toString("base64") !== text) throw new SecretDamagedError(path, `${FIELD} is no base64`);
  try {
    return fromBinary(ConnectionSecretSchema, bytes);
  } catch {
    throw new SecretDamagedError(path, `${FIELD} is no ConnectionSecret`);
  }
}
