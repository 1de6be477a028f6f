import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { WatchOperatorsResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { encodeToken } from "../../src/token.ts";

type Frame = MessageInitShape<typeof WatchOperatorsResponseSchema>;
type OperatorInit = MessageInitShape<typeof OperatorSchema>;

const FILTER_HASH = new Uint8Array(8).fill(7);

/** The token of a revision; `history` tells forked histories apart, `store` installations. */
export function token(revision: number, { history = 1, store = 1, filter = true } = {}): string {
  const position = {
    store: new Uint8Array(16).fill(store),
    revision: BigInt(revision),
    fingerprint: new Uint8Array(32).fill(history),
  };
  return filter ? encodeToken(position, FILTER_HASH) : encodeToken(position);
}

/** An operator with one connection, `main`, of this weight. */
export function operator(id: string, weight = 100, more: OperatorInit = {}): OperatorInit {
  return { id, uid: `uid-${id}`, connections: { main: { weight } }, ...more };
}

/** A part of a snapshot, or with a token the changes of one revision. */
export function upserts(operators: readonly OperatorInit[], at = ""): Frame {
  const events = operators.map((value) => ({ event: { case: "upsert" as const, value } }));
  return { message: { case: "changes", value: { events, token: at } } };
}

/** A revision in which these operators were deleted. */
export function removals(ids: readonly string[], at: string): Frame {
  const events = ids.map((id) => ({ event: { case: "removed" as const, value: { id, uid: `uid-${id}`, cause: 1 } } }));
  return { message: { case: "changes", value: { events, token: at } } };
}

/** A position; `complete`: the snapshot's end. */
export function bookmark(at: string, { complete = false, staleSince = undefined as Date | undefined } = {}): Frame {
  const stale = staleSince === undefined ? {} : { staleSince: timestampFromDate(staleSince) };
  return { message: { case: "bookmark", value: { token: at, initialComplete: complete, ...stale } } };
}

/** A whole snapshot. */
export function snapshot(operators: readonly OperatorInit[], at: string): Frame[] {
  return [...operators.map((each) => upserts([each])), bookmark(at, { complete: true })];
}

/** Waits for the end of the watch's client. */
export function untilGone(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener("abort", () => resolve());
  });
}
