import type { IncomingHttpHeaders } from "node:http";
import type { Caller } from "./caller.ts";

/** What there is to know about a mesh request before its body: from the socket and the headers. */
export interface MeshRequest {
  /** The peer's address as the socket knows it. */
  readonly remoteAddress: string | undefined;
  /** `:authority`, or the Host header. */
  readonly authority: string | undefined;
  /** All headers as they came. Whatever a client may forge in them is worth nothing unless an implementation can tell. */
  readonly headers: IncomingHttpHeaders;
  /** True for gRPC over HTTP/2, the only protocol of the mesh. */
  readonly isGrpc: boolean;
}

/**
 * Who is calling. It is asked before a body is parsed and before anything is said about which methods or operators exist. The
 * embedded profile has `localIdentity`; what a mesh or an identity provider vouches for is another implementation.
 */
export interface Identity {
  /**
   * The admin behind a bearer token.
   * @param authorization the Authorization header
   * @param source the peer's address, for the audit trail
   * @throws TOKEN_MISSING, TOKEN_INVALID, TOKEN_EXPIRED
   */
  adminCaller(authorization: string | undefined, source: string): Caller | Promise<Caller>;
  /**
   * The workload behind a mesh request.
   * @throws IDENTITY_MISSING
   */
  meshCaller(request: MeshRequest): Caller | Promise<Caller>;
}
