import { create } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import {
  HealthTransitionSchema,
  OperationalReason,
  OperationalState,
  type ConnectionHealth,
  type HealthTransition,
} from "@operator-management/contract/ops/v1/health_pb.js";
import type { Folded } from "./fold.ts";
import type { LinkId } from "./subjects.ts";

/** Whether a link's health is another state or grade than the last recorded one; a link of which nothing is recorded counts as UNKNOWN. */
export function differs({ state, grade }: ConnectionHealth, last: HealthTransition | undefined): boolean {
  if (last === undefined) return state !== OperationalState.UNKNOWN;
  return state !== last.to || (state === OperationalState.DEGRADED && grade !== last.grade);
}

/** The transition from the last recorded state to the computed one. */
export function transitionTo(
  { health, cause }: Folded,
  link: LinkId & { readonly operatorId: string },
  last: HealthTransition | undefined,
  { now, token }: { readonly now: Date; readonly token: string },
): HealthTransition {
  return create(HealthTransitionSchema, {
    operatorId: link.operatorId,
    operatorUid: link.operatorUid,
    connectionId: link.connectionId,
    from: last?.to ?? OperationalState.UNKNOWN,
    to: health.state,
    grade: health.grade,
    reason: health.reasons[0] ?? OperationalReason.UNSPECIFIED,
    time: timestampFromDate(after(last?.time, now)),
    observers: health.observers.filter(({ leaving }) => !leaving).map(({ node }) => node),
    cause: BigInt(cause),
    token,
  });
}

/** Now, or, by a clock that is behind the one that recorded the last transition, just after that: a link's times tell their order. */
function after(last: Timestamp | undefined, now: Date): Date {
  return last === undefined || timestampDate(last) < now ? now : new Date(timestampDate(last).getTime() + 1);
}
