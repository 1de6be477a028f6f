import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";

/** WATCH_TOO_SLOW. */
export function watchTooSlow(): Error {
  return opsError(ErrorReason.WATCH_TOO_SLOW, "this watch was read too slowly: resume on a new stream, or list again");
}

/** REVISION_COMPACTED: `oldest` is the oldest position that can be resumed from. */
export function revisionCompacted(revision: bigint, oldest: bigint): Error {
  return opsError(
    ErrorReason.REVISION_COMPACTED,
    `position ${revision} is older than what can be replayed (from ${oldest}): list again, or watch with initial_snapshot`,
    { metadata: { revision: String(revision), oldest: String(oldest) } },
  );
}

/** STREAM_EXPIRED. */
export function streamExpired(): Error {
  return opsError(ErrorReason.STREAM_EXPIRED, "this stream has reached its age limit: resume on a new one", {
    retryAfterMs: 0,
  });
}
