import { durationMs, timestampMs, type Duration } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { BindRole, EndpointPolicy } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import type { HealthPolicy } from "@operator-management/contract/ops/v1/health_policy_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Override } from "@operator-management/contract/ops/v1/override_pb.js";
import { ThroughputScope, type Bind } from "@operator-management/contract/ops/v1/session_pb.js";
import type { BindError } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import type { Windows } from "./windows.ts";

/** What the configuration says of a link at one moment, with defaults. Times and spans in milliseconds. */
export interface LinkConfig {
  readonly policy: {
    readonly goodStreak: number;
    readonly bindsMissingAfter: number;
    readonly intervalsUntilUnknown: number;
    readonly alertHold: number;
  };
  /** As it is stored, for the share of errors. */
  readonly healthPolicy: HealthPolicy | undefined;
  /** Binds wanted by role, none with a count of 0. */
  readonly wanted: ReadonlyMap<BindRole, number>;
  /** Since when that many may be wanted. */
  readonly wantedSince: number;
  /** Whether a bind that can receive is to be missed when there is none. */
  readonly wantsReceiver: boolean;
  /** Consecutive enquire_links without an answer from which a bind is lost. */
  readonly missedLimit: number;
  /** Ids of the credential versions that binds may be made with; empty: none is stored. */
  readonly credentialIds: ReadonlySet<string>;
  readonly activeCredentialId: string;
  /** Empty: not known. */
  readonly bindEtag: string;
  readonly bindErrors: readonly BindError[];
  /** Segments per second over all binds. */
  readonly limit: number;
  /** Whether silence and trouble are expected: planned work. */
  readonly maintenance: boolean;
  /** When time alone changes one of these: an override expires, a window begins or ends. */
  readonly changesAt: readonly number[];
}

/** Reads a link's configuration at `now`. Maintenance windows and expired overrides act here only, not on the stored configuration. */
export function linkConfig(
  operator: Operator,
  connectionId: string,
  connection: Connection,
  now: number,
  windows: Windows,
): LinkConfig {
  const endsAt = (override: Override): number => (override.expireTime ? timestampMs(override.expireTime) : 0);
  const overrides = connection.overrides.filter((override) => endsAt(override) > now);
  const binds = isBound(operator, connection, windows)
    ? wantedBinds(connection, overrides)
    : new Map<BindRole, number>();
  const ended = connection.overrides.filter((override) => override.value.case === "bind" && endsAt(override) <= now);
  const { credential } = connection;
  const policy = connection.healthPolicy ?? operator.healthPolicy;
  return {
    policy: {
      goodStreak: policy?.goodStreak ?? 3,
      bindsMissingAfter: span(policy?.bindsMissingAfter, 120_000),
      intervalsUntilUnknown: policy?.reportIntervalsUntilUnknown ?? 3,
      alertHold: span(policy?.alertHold, 60_000),
    },
    healthPolicy: policy,
    wanted: binds,
    wantedSince: Math.max(
      operator.updateTime ? timestampMs(operator.updateTime) : -Infinity,
      windows.lastChange?.getTime() ?? -Infinity,
      ...ended.map(endsAt),
    ),
    wantsReceiver: (binds.has(BindRole.TRX) || binds.has(BindRole.RX)) && !isReceivedFor(operator, connectionId),
    missedLimit: connection.timers?.missed ?? 3,
    credentialIds: new Set(
      [credential?.active, credential?.pending].flatMap((version) =>
        version === undefined || version.state === CredentialState.REJECTED ? [] : [version.id],
      ),
    ),
    activeCredentialId: credential?.active?.id ?? "",
    bindEtag: connection.bindEtag,
    bindErrors: connection.bindErrors,
    limit: wholeLimit(operator, connection, binds, overrides),
    maintenance: windows.current !== undefined || connection.effectiveState === AdminState.MAINTENANCE,
    changesAt: [...overrides.map(endsAt), ...(windows.nextChange ? [windows.nextChange.getTime()] : [])],
  };
}

/** Whether binds are wanted at all: by both admin states, and by every maintenance window in force. */
function isBound(operator: Operator, connection: Connection, windows: Windows): boolean {
  switch (connection.effectiveState) {
    case AdminState.TESTING:
    case AdminState.ENABLED:
    case AdminState.DRAINING:
      return windows.keepBinds;
    case AdminState.MAINTENANCE:
      return (
        windows.keepBinds &&
        [operator, connection].every((each) => each.adminState !== AdminState.MAINTENANCE || each.keepBinds)
      );
    case AdminState.UNSPECIFIED:
    case AdminState.DRAFT:
    case AdminState.DISABLED:
      return false;
    default:
      return false; // a state of a newer version holds back more than any known one
  }
}

function wantedBinds(connection: Connection, overrides: readonly Override[]): Map<BindRole, number> {
  const counts = new Map<BindRole, number>();
  const set = ({ role, count = 1 }: Pick<Bind, "role" | "count">): void => void counts.set(role, count);
  if (connection.binds.length === 0) set({ role: BindRole.TRX, count: 1 });
  connection.binds.forEach(set);
  for (const { value } of overrides) if (value.case === "bind") set(value.value);
  const times = (role: BindRole): number =>
    connection.endpointPolicy === EndpointPolicy.ONE_EACH ? endpointsFor(connection, role) : 1;
  return new Map(
    [...counts].map(([role, count]) => [role, count * times(role)] as const).filter(([, count]) => count > 0),
  );
}

function endpointsFor(connection: Connection, role: BindRole): number {
  return Object.values(connection.endpoints).filter(({ roles }) => roles.length === 0 || roles.includes(role)).length;
}

/** Whether another connection, itself bound, takes this one's receipts. */
function isReceivedFor(operator: Operator, connectionId: string): boolean {
  const bound = [AdminState.TESTING, AdminState.ENABLED, AdminState.DRAINING, AdminState.MAINTENANCE];
  return Object.entries(operator.connections).some(
    ([id, other]) =>
      id !== connectionId && bound.includes(other.effectiveState) && other.receivesFor.includes(connectionId),
  );
}

function wholeLimit(
  operator: Operator,
  connection: Connection,
  binds: ReadonlyMap<BindRole, number>,
  overrides: readonly Override[],
): number {
  const override = overrides.flatMap(({ value }) => (value.case === "maxSegmentsPerSecond" ? [value.value] : []))[0];
  const each = override ?? connection.throughput?.maxSegmentsPerSecond ?? 0;
  const limit = each * shares(connection, binds);
  return Math.min(limit, operator.maxSegmentsPerSecond ?? Infinity);
}

/** How many binds or endpoints have the limit for themselves. */
function shares(connection: Connection, binds: ReadonlyMap<BindRole, number>): number {
  switch (connection.throughput?.scope) {
    case ThroughputScope.BIND:
      return Math.max(1, (binds.get(BindRole.TRX) ?? 0) + (binds.get(BindRole.TX) ?? 0));
    case ThroughputScope.ENDPOINT:
      return connection.endpointPolicy === EndpointPolicy.SPREAD ||
        connection.endpointPolicy === EndpointPolicy.ONE_EACH
        ? Math.max(1, Object.keys(connection.endpoints).length)
        : 1;
    default:
      return 1;
  }
}

function span(duration: Duration | undefined, unset: number): number {
  return duration === undefined ? unset : durationMs(duration);
}
