import type { Position } from "@operator-management/client";
import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";

const MAX_UINT32 = 0xffff_ffffn;

/**
 * How many revisions a node must still apply to be where the server is. All of them if it has applied none, or ended at this
 * revision of another history; 0 also when it is ahead, because it reads from a replica that is.
 */
export function revisionsBehind(applied: Token | undefined, server: Position): number {
  const forked = applied?.revision === server.revision && Buffer.compare(applied.fingerprint, server.fingerprint) !== 0;
  const behind = server.revision - (applied === undefined || forked ? 0n : applied.revision);
  if (behind <= 0n) return 0;
  return Number(behind < MAX_UINT32 ? behind : MAX_UINT32);
}
