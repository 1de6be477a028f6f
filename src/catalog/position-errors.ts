import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";

/** TOKEN_FOREIGN. */
export function foreignToken(): Error {
  return opsError(
    ErrorReason.TOKEN_FOREIGN,
    "the token is from another store: list again, and go on from the list's token",
  );
}

/** HISTORY_CHANGED: to be thrown only when the primary has confirmed it. */
export function historyChanged(revision: bigint): Error {
  return opsError(
    ErrorReason.HISTORY_CHANGED,
    `position ${revision} of the token is not in this history: list again, and go on from the list's token`,
    { metadata: { revision: String(revision) } },
  );
}

/** CATALOG_BEHIND: whether the position is in this history can't be told now. */
export function catalogBehind(cause: unknown): Error {
  return opsError(ErrorReason.CATALOG_BEHIND, "this replica has not reached the token's position yet: try again", {
    retryAfterMs: 1_000,
    cause,
  });
}
