import { createContextKey, type HandlerContext } from "@connectrpc/connect";
import type { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import type { Actor } from "@operator-management/contract/ops/v1/common_pb.js";

/** Who is calling, as identity established it: what history and audit record, and what access rules are checked against. */
export interface Caller {
  readonly actor: Actor;
  /** Admin roles granted by the bearer token; empty for workloads. */
  readonly roles: ReadonlySet<Role>;
  /** Mesh namespaces the caller stands for; empty for admins. */
  readonly namespaces: ReadonlySet<string>;
}

/** Set by identity before any handler runs. */
export const callerKey = createContextKey<Caller | undefined>(undefined, { description: "caller" });

/** The request's id: the client's `x-request-id` if it is a sane one, else a new UUID. Logged, and echoed in the reply's headers. */
export const requestIdKey = createContextKey("", { description: "request id" });

/** The caller of a handler's call. A handler never runs without one: identity and authorize come first. */
export function callerOf(context: Pick<HandlerContext, "values">): Caller {
  const caller = context.values.get(callerKey);
  if (caller === undefined) throw new Error("a handler ran without an identified caller");
  return caller;
}
