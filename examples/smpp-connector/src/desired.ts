import type { CatalogConnection } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { BindRole, EndpointPolicy, TlsMode } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { endpointsFor } from "./endpoints.ts";

/** One bind of a connection. */
export interface Slot {
  readonly role: BindRole;
  /** From 0 within its role. */
  readonly index: number;
}

/** A connection that this node should keep bound. */
export interface DesiredConnection {
  /** `acme-de/main` */
  readonly key: string;
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  readonly connection: Connection;
  readonly slots: readonly Slot[];
}

/** A connection whose configuration this connector can't run: a NACK. */
export interface Rejection {
  readonly key: string;
  readonly operatorId: string;
  readonly connectionId: string;
  /** For a person, with the path of the field; no secret. */
  readonly error: string;
}

export interface Desired {
  readonly connections: ReadonlyMap<string, DesiredConnection>;
  readonly rejected: ReadonlyMap<string, Rejection>;
}

/** MAINTENANCE keeps its binds: planned work ends sooner than a vendor frees a slot. */
const boundStates: ReadonlySet<AdminState> = new Set([
  AdminState.ENABLED,
  AdminState.TESTING,
  AdminState.DRAINING,
  AdminState.MAINTENANCE,
]);

const MOST_BINDS_OF_A_ROLE = 64;

/** What should be bound on a node with these labels. Pure. */
export function desiredState(
  all: Iterable<Pick<CatalogConnection, "operator" | "connectionId" | "connection">>,
  labels: Readonly<Record<string, string>>,
): Desired {
  const connections = new Map<string, DesiredConnection>();
  const rejected = new Map<string, Rejection>();
  for (const { operator, connectionId, connection } of all) {
    if (!boundStates.has(connection.effectiveState) || !isSelected(connection, labels)) continue;
    const ids = { key: `${operator.id}/${connectionId}`, operatorId: operator.id, connectionId };
    const slots = slotsOf(connection);
    const error = unsupported(connectionId, connection, slots);
    if (error === undefined) connections.set(ids.key, { ...ids, operatorUid: operator.uid, connection, slots });
    else rejected.set(ids.key, { ...ids, error });
  }
  return { connections, rejected };
}

function isSelected(connection: Connection, labels: Readonly<Record<string, string>>): boolean {
  return Object.entries(connection.nodeSelector).every(([key, value]) => labels[key] === value);
}

/** Every bind wanted: until the service assigns slots, one node opens them all. */
function slotsOf(connection: Connection): Slot[] {
  const one: readonly { role: BindRole; count?: number }[] = [{ role: BindRole.TRX }];
  return (connection.binds.length === 0 ? one : connection.binds).flatMap(({ role, count = 1 }) => {
    const everywhere = connection.endpointPolicy === EndpointPolicy.ONE_EACH;
    const wanted = everywhere ? count * endpointsFor(connection, role).length : count;
    return Array.from({ length: wanted }, (_, index) => ({ role, index }));
  });
}

function unsupported(id: string, connection: Connection, slots: readonly Slot[]): string | undefined {
  for (const [endpointId, { tls }] of Object.entries(connection.endpoints)) {
    if (tls && tls.mode !== TlsMode.OFF && tls.mode !== TlsMode.UNSPECIFIED) {
      return `connections.${id}.endpoints.${endpointId}.tls.mode: this connector binds over plain TCP only`;
    }
  }
  for (const { role } of connection.binds) {
    const name = BindRole[role];
    // A role that is newer than this connector has no name here.
    if (name === undefined) return `connections.${id}.binds: role ${role} is not known to this connector`;
    if (endpointsFor(connection, role).length === 0) {
      return `connections.${id}.endpoints: none takes ${name} binds`;
    }
  }
  if (Object.keys(connection.endpoints).length === 0) return `connections.${id}.endpoints: there is none`;
  if (slots.some(({ index }) => index >= MOST_BINDS_OF_A_ROLE)) {
    return `connections.${id}.binds: more than ${MOST_BINDS_OF_A_ROLE} binds of one role over all endpoints`;
  }
  const { active, pending } = connection.credential ?? {};
  if (active === undefined && pending === undefined) return `connections.${id}.credential: none is stored`;
  return undefined;
}
