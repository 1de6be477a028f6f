import { BlockList, isIP } from "node:net";
import { create } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { WarningSchema, type Warning } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { CoverageEntry } from "@operator-management/contract/ops/v1/coverage_pb.js";
import { BindRole, TlsMode, TlsVerify, type Endpoint } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { ThroughputScope } from "@operator-management/contract/ops/v1/session_pb.js";
import { sameOrBroader } from "./coverage.ts";
import { effectiveState, stateName } from "./state-rules.ts";

/** What SMPP 3.4 allows for a system_id, in characters. */
const SMPP_SYSTEM_ID = 15;
/** Assumed time from submit_sm to its answer, in seconds: vendors abroad. */
const ASSUMED_LATENCY = 0.1;
/** Most keys or prefixes that one text names. */
const MOST_NAMED = 10;

const privateAddresses = new BlockList();
for (const [network, prefix] of [
  ["10.0.0.0", 8],
  ["172.16.0.0", 12],
  ["192.168.0.0", 16],
  ["127.0.0.0", 8],
] as const) {
  privateAddresses.addSubnet(network, prefix);
}
privateAddresses.addSubnet("fc00::", 7, "ipv6");
privateAddresses.addAddress("::1", "ipv6");

/** What is unusual about the configuration of these connections (defaults filled in), by path. */
export function configurationWarnings(operator: Operator, connectionIds: Iterable<string>): Warning[] {
  return [...connectionIds].flatMap((id) => {
    const connection = Object.hasOwn(operator.connections, id) ? operator.connections[id] : undefined;
    if (connection === undefined) return [];
    const path = `connections.${id}`;
    return [
      ...systemIdWarnings(path, connection),
      ...Object.entries(connection.endpoints).flatMap(([key, endpoint]) =>
        tlsWarnings(`${path}.endpoints.${key}`, endpoint),
      ),
      ...roleWarnings(path, connection),
      ...windowWarnings(path, connection),
      ...prefixWarnings(path, connection),
    ];
  });
}

/** What a move of state will not do by itself. `connectionId` is empty for the operator's own. */
export function stateWarnings(operator: Operator, connectionId: string): Warning[] {
  if (connectionId === "") {
    const states = Object.values(operator.connections).map((c) => effectiveState(operator.adminState, c.adminState));
    if (operator.adminState !== AdminState.ENABLED || states.includes(AdminState.ENABLED)) return [];
    return [warning("connections", "none is ENABLED, so nothing is routed to this operator; enable one")];
  }
  const connection = Object.hasOwn(operator.connections, connectionId) ? operator.connections[connectionId] : undefined;
  if (connection === undefined) return [];
  const path = `connections.${connectionId}`;
  const warnings: Warning[] = [];
  const effective = effectiveState(operator.adminState, connection.adminState);
  if (effective !== connection.adminState) {
    const text = `stays ${stateName(effective)}: the operator's own state caps it; move the operator too`;
    warnings.push(warning(`${path}.admin_state`, text));
  }
  if (connection.adminState === AdminState.ENABLED && connection.coverage.length === 0) {
    warnings.push(warning(`${path}.coverage`, "is empty, so nothing is routed here"));
  }
  return warnings;
}

/** For changes that may take a network's last route, but say so. `dark`: the keys that nobody routes any more. */
export function lastRouteWarnings(dark: readonly string[]): Warning[] {
  return dark.length === 0 ? [] : [warning("", `nobody routes ${someOf(dark)} any more`)];
}

/** The first few, and how many more. */
export function someOf(names: readonly string[]): string {
  const more = names.length > MOST_NAMED ? ` and ${names.length - MOST_NAMED} more` : "";
  return names.slice(0, MOST_NAMED).join(", ") + more;
}

function systemIdWarnings(path: string, { systemId }: Connection): Warning[] {
  if (systemId.length <= SMPP_SYSTEM_ID) return [];
  const text = `${systemId.length} characters are more than the ${SMPP_SYSTEM_ID} of SMPP 3.4; check that the vendor accepts it`;
  return [warning(`${path}.system_id`, text)];
}

function tlsWarnings(path: string, { host, tls }: Endpoint): Warning[] {
  if (tls?.mode === TlsMode.REQUIRED) {
    if (tls.verify !== TlsVerify.NONE || tls.pinSha256.length > 0) return [];
    return [warning(`${path}.tls.verify`, "NONE without a pin: anybody can answer in the vendor's name")];
  }
  if (isPrivate(host)) return [];
  return [warning(`${path}.tls`, "OFF: the password and all messages cross the network unencrypted")];
}

function isPrivate(host: string): boolean {
  const family = isIP(host);
  return family === 0 ? host === "localhost" : privateAddresses.check(host, family === 6 ? "ipv6" : "ipv4");
}

function roleWarnings(path: string, { binds, endpoints }: Connection): Warning[] {
  const all = Object.values(endpoints);
  if (all.length === 0) return [];
  return binds
    .filter(({ role, count }) => count !== 0 && !all.some(({ roles }) => roles.length === 0 || roles.includes(role)))
    .map(({ role }) =>
      warning(`${path}.binds`, `no endpoint takes ${BindRole[role]}, so these can't be bound; see endpoints.*.roles`),
    );
}

/** Unanswered messages × binds ÷ time to the answer bounds the rate: the most frequent reason for a link that is slow. */
function windowWarnings(path: string, { throughput, binds }: Connection): Warning[] {
  const rate = throughput?.maxSegmentsPerSecond;
  const window = throughput?.window;
  if (rate === undefined || window === undefined) return [];
  const senders = binds.filter(({ role }) => role !== BindRole.RX).reduce((sum, { count }) => sum + (count ?? 1), 0);
  const counted = throughput?.scope === ThroughputScope.BIND ? Math.min(senders, 1) : senders;
  const possible = (window * counted) / ASSUMED_LATENCY;
  if (counted === 0 || possible >= rate) return [];
  const text =
    `${window} × ${counted} ${counted === 1 ? "bind" : "binds"} allows about ${possible} segments per second when an answer takes ` +
    `${ASSUMED_LATENCY * 1_000} ms, below the limit of ${rate}; raise window or binds`;
  return [warning(`${path}.throughput.window`, text)];
}

/** Prefixes inside another one that say the same as it does. */
function prefixWarnings(path: string, { coverage }: Connection): Warning[] {
  const byKey = new Map<string, CoverageEntry>(
    coverage.flatMap((entry) => (entry.kind.case === "prefix" ? [[`prefix:${entry.kind.value}`, entry]] : [])),
  );
  const needless = [...byKey].flatMap(([key, entry]) => {
    const outerKey = sameOrBroader(key).find((broader) => broader !== key && byKey.has(broader));
    const outer = outerKey === undefined ? undefined : byKey.get(outerKey);
    const same = outer?.deny === entry.deny && outer.priority === entry.priority && outer.weight === entry.weight;
    return outerKey !== undefined && same ? [`${key.slice(7)} in ${outerKey.slice(7)}`] : [];
  });
  if (needless.length === 0) return [];
  return [
    warning(`${path}.coverage`, `prefixes that another one includes and that change nothing: ${someOf(needless)}`),
  ];
}

function warning(path: string, text: string): Warning {
  return create(WarningSchema, { path, text });
}
