import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { SecretStoreUnavailableError } from "../backends/secrets/secret-store.ts";
import { opsError } from "../rpc/errors.ts";

const RETRY_MS = 1_000;

/** The error to throw for one that came out of the secret store: VAULT_UNAVAILABLE when the store is away, else the error itself. */
export function typedSecretStoreError(error: unknown): unknown {
  if (!(error instanceof SecretStoreUnavailableError)) return error;
  return opsError(ErrorReason.VAULT_UNAVAILABLE, "the secret store doesn't answer; try again", {
    retryAfterMs: RETRY_MS,
    cause: error,
  });
}
