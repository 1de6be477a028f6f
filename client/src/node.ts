import type { Transport } from "@connectrpc/connect";
import type { CallPolicy } from "./call-policy.ts";
import {
  createAdminClient as adminClient,
  createMeshClient as meshClient,
  type AdminClient,
  type MeshClient,
} from "./clients.ts";
import {
  adminTransport,
  meshTransport,
  type AdminTransportOptions,
  type MeshTransportOptions,
} from "./node-transports.ts";

export { fileSnapshots } from "./node-file-snapshots.ts";
export { adminTransport, meshTransport, type AdminTransportOptions, type MeshTransportOptions };

/** How to reach the mesh's service: an address, or a transport of one's own. */
export type NodeMeshClientOptions = CallPolicy & (MeshTransportOptions | { readonly transport: Transport });

/** How to reach the admin service: an address and a token, or a transport of one's own. */
export type NodeAdminClientOptions = CallPolicy & (AdminTransportOptions | { readonly transport: Transport });

/** A client of the mesh's service over gRPC. */
export function createMeshClient(options: NodeMeshClientOptions): MeshClient {
  return meshClient({ ...options, transport: "transport" in options ? options.transport : meshTransport(options) });
}

/** A client of the admin service over Connect. */
export function createAdminClient(options: NodeAdminClientOptions): AdminClient {
  return adminClient({ ...options, transport: "transport" in options ? options.transport : adminTransport(options) });
}
