import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Actor, FieldChange, Warning } from "@operator-management/contract/ops/v1/common_pb.js";
import type { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";

/** What a request would do to one operator. Nothing, when `after` is `before`. */
export interface Plan {
  readonly kind: ChangeKind;
  readonly before: Operator | undefined;
  /** Sealed: stored as it is. */
  readonly after: Operator;
  readonly diff: FieldChange[];
  readonly warnings: Warning[];
}

/** Who asks, and when: the commit time that the revision will have. */
export interface PlanContext {
  readonly actor: Actor;
  readonly now: Timestamp;
}

/** Most field changes in a reply, as in a record of history. */
export const MAX_REPLY_CHANGES = 200;

/** The changes to commit: none for a plan that does nothing. */
export function changesOf(plan: Plan): Plan[] {
  return plan.after === plan.before ? [] : [plan];
}
