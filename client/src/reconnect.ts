import { Code, ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsReason, retryAfterMs, violations } from "./errors.ts";
import { fullJitter } from "./timers.ts";

const FIRST_DELAY_MS = 100;
const LONGEST_DELAY_MS = 5_000;
/** For refusals that only a human can end, and for a server that asks for rest. */
const SLOW_DELAY_MS = 30_000;

/** Why the configuration had to be fetched anew. */
export type ResyncReason = "REVISION_COMPACTED" | "HISTORY_CHANGED" | "TOKEN_FOREIGN" | "TOKEN_REFUSED";

/** How a watch goes on after its stream ended. */
export interface Step {
  readonly when: "at once" | "soon" | "slowly";
  /** Repeating can't help: a human must act. */
  readonly permanent: boolean;
  /** Set when the position can't be resumed from: start with a snapshot. */
  readonly resync?: ResyncReason;
  /** The least delay that the server asked for. */
  readonly atLeastMs: number;
}

/** What to do after a stream ended with this error; `useful` is whether it had brought anything. */
export function stepAfter(error: Error, useful: boolean): Step {
  const atLeastMs = retryAfterMs(error) ?? 0;
  const atOnce: Step = { when: "at once", permanent: false, atLeastMs };
  const soon: Step = { ...atOnce, when: "soon" };
  const refused: Step = { when: "slowly", permanent: true, atLeastMs };
  switch (opsReason(error)) {
    case ErrorReason.HISTORY_CHANGED:
      return { ...atOnce, resync: "HISTORY_CHANGED" };
    case ErrorReason.REVISION_COMPACTED:
      return { ...atOnce, resync: "REVISION_COMPACTED" };
    case ErrorReason.TOKEN_FOREIGN:
      return { ...atOnce, resync: "TOKEN_FOREIGN" };
    case ErrorReason.FIELD_INVALID:
      return isAboutToken(error) ? { ...atOnce, resync: "TOKEN_REFUSED" } : refused;
    case ErrorReason.STREAM_EXPIRED:
    case ErrorReason.SHUTTING_DOWN:
    case ErrorReason.WATCH_TOO_SLOW:
      return useful ? atOnce : soon;
    case ErrorReason.TOO_MANY_STREAMS:
    case ErrorReason.RATE_LIMITED:
      return { ...soon, when: "slowly" };
    default:
      return isRefusal(error) ? refused : soon;
  }
}

/** How long to wait before the next stream; `failures` counts those that ended shortly after they began. */
export function delayMs({ when, atLeastMs }: Step, failures: number): number {
  if (when === "slowly") return Math.max(atLeastMs, SLOW_DELAY_MS * (0.5 + Math.random() / 2));
  // At once only the first time: a server that ends every resumed stream gets the delays of any other failure.
  const delay = when === "at once" && failures === 0 ? 0 : fullJitter(failures, FIRST_DELAY_MS, LONGEST_DELAY_MS);
  return Math.max(atLeastMs, delay);
}

function isAboutToken(error: Error): boolean {
  return violations(error).some((violation) => violation.field === "start_token");
}

function isRefusal(error: Error): boolean {
  if (!(error instanceof ConnectError)) return false;
  return [
    Code.Unauthenticated,
    Code.PermissionDenied,
    Code.InvalidArgument,
    Code.Unimplemented,
    Code.NotFound,
  ].includes(error.code);
}
