import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Override } from "@operator-management/contract/ops/v1/override_pb.js";
import type { RouteReason } from "@operator-management/contract/ops/v1/route_pb.js";
import { abilitiesOf, type Abilities } from "./abilities.ts";
import { milliseconds } from "./milliseconds.ts";
import { standingReasons } from "./standing-reasons.ts";

type LinkRef = Pick<Link, "operatorId" | "connectionId">;

/** A value that beats the configuration until it expires. */
export interface TimedValue {
  readonly kind: "weight" | "priority" | "maxSegmentsPerSecond";
  readonly value: number;
  /** Milliseconds since 1970. */
  readonly expires: number;
}

/** All that the rules ask of a connection, but its coverage: small, because there are tens of thousands. */
export interface Link {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  /** Hard reasons whatever the query is, unless it names the link in `only`. */
  readonly standing: readonly RouteReason[];
  /** The same when it does. */
  readonly standingWhenNamed: readonly RouteReason[];
  readonly abilities: Abilities;
  readonly priority: number;
  readonly weight: number;
  /** Segments per second; 0: none is configured. */
  readonly limit: number;
  readonly overrides: readonly TimedValue[];
}

const DEFAULT_PRIORITY = 100;
const DEFAULT_WEIGHT = 100;
const NO_OVERRIDES: readonly TimedValue[] = [];

export function linkOf(operator: Operator, connectionId: string, connection: Connection): Link {
  const overrides = connection.overrides.flatMap(timedValue);
  return {
    operatorId: operator.id,
    operatorUid: operator.uid,
    connectionId,
    standing: standingReasons(operator, connection, false),
    standingWhenNamed: standingReasons(operator, connection, true),
    abilities: abilitiesOf(connection),
    priority: connection.priority ?? DEFAULT_PRIORITY,
    weight: connection.weight ?? DEFAULT_WEIGHT,
    limit: connection.throughput?.maxSegmentsPerSecond ?? 0,
    overrides: overrides.length === 0 ? NO_OVERRIDES : overrides,
  };
}

/** The value of the override of this kind that is in force, or undefined. */
export function overridden({ overrides }: Link, kind: TimedValue["kind"], now: number): number | undefined {
  return overrides.find((override) => override.kind === kind && override.expires > now)?.value;
}

/** In the order in which routes and links left out are listed, all else being equal. */
export function byId(a: LinkRef, b: LinkRef): number {
  if (a.operatorId !== b.operatorId) return a.operatorId < b.operatorId ? -1 : 1;
  if (a.connectionId === b.connectionId) return 0;
  return a.connectionId < b.connectionId ? -1 : 1;
}

function timedValue({ value, expireTime }: Override): TimedValue[] {
  // One without an end was never valid, and must not last for ever.
  if (expireTime === undefined || value.case === undefined || value.case === "bind") return [];
  return [{ kind: value.case, value: value.value, expires: milliseconds(expireTime) }];
}
