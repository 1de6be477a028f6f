import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { EndpointPolicy, type BindRole, type Endpoint } from "@operator-management/contract/ops/v1/endpoint_pb.js";

/** An endpoint to try. */
export interface Candidate {
  readonly id: string;
  readonly host: string;
  readonly port: number;
}

const DEFAULT_PORT = 2775;
const DEFAULT_PRIORITY = 10;

/** The endpoints where `role` may bind, preferred ones first: low priority, then id. */
export function endpointsFor(connection: Connection, role: BindRole): Candidate[] {
  return Object.entries(connection.endpoints)
    .filter(([, { roles }]) => roles.length === 0 || roles.includes(role))
    .sort(([idA, a], [idB, b]) => priority(a) - priority(b) || (idA < idB ? -1 : 1))
    .map(([id, { host, port }]) => ({ id, host, port: port ?? DEFAULT_PORT }));
}

/**
 * The endpoints that bind number `index` of `role` tries, in order. ORDERED: all, the preferred first. SPREAD: all, each bind
 * beginning with another. ONE_EACH: only its own.
 */
export function candidates(connection: Connection, role: BindRole, index: number): Candidate[] {
  const all = endpointsFor(connection, role);
  if (all.length === 0) return [];
  const own = index % all.length;
  switch (connection.endpointPolicy) {
    case EndpointPolicy.ONE_EACH:
      return all.slice(own, own + 1);
    case EndpointPolicy.SPREAD:
      return [...all.slice(own), ...all.slice(0, own)];
    case EndpointPolicy.ORDERED:
    case EndpointPolicy.UNSPECIFIED:
      return all;
    default:
      return connection.endpointPolicy satisfies never;
  }
}

function priority(endpoint: Endpoint): number {
  return endpoint.priority ?? DEFAULT_PRIORITY;
}
