import { createClient, type Client, type Transport } from "@connectrpc/connect";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { withCallPolicy, type CallPolicy } from "./call-policy.ts";

/** Calls of the mesh's service, for connectors and routing engines. */
export type MeshClient = Client<typeof OperatorService>;

/** Calls of the admin service. */
export type AdminClient = Client<typeof OperatorAdminService>;

/** What a client is made of. */
export interface ClientOptions extends CallPolicy {
  /** Any Connect transport to the service; `./node` makes suitable ones. */
  readonly transport: Transport;
}

/**
 * A client of the mesh's service with deadlines and retries (see CallPolicy). Its calls reject with ConnectError; `opsReason` says why.
 */
export function createMeshClient(options: ClientOptions): MeshClient {
  return createClient(OperatorService, withCallPolicy(options.transport, options));
}

/**
 * A client of the admin service with deadlines, retries and request ids (see CallPolicy). Its calls reject with ConnectError;
 * `opsReason` and `violations` say why.
 */
export function createAdminClient(options: ClientOptions): AdminClient {
  return createClient(OperatorAdminService, withCallPolicy(options.transport, options));
}
