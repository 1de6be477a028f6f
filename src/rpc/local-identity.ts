import { createHash, timingSafeEqual } from "node:crypto";
import { BlockList, isIP } from "node:net";
import { create } from "@bufbuild/protobuf";
import type { Role } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { Actor_Kind, ActorSchema, ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { meshNamespaces } from "./access.ts";
import type { Caller } from "./caller.ts";
import { opsError } from "./errors.ts";
import type { Identity, MeshRequest } from "./identity.ts";

/** A bearer token that stands in a file of this machine. */
export interface LocalToken {
  /** Who is recorded in the history, e.g. `local-admin`. */
  readonly principal: string;
  readonly role: Role;
  readonly token: string;
}

const loopback = new BlockList();
loopback.addSubnet("127.0.0.0", 8, "ipv4");
loopback.addAddress("::1", "ipv6");

/** Host headers of a caller who meant this machine. Any other came by a name that somebody else's DNS may point here. */
const LOCAL_AUTHORITY = /^(?:localhost|127\.0\.0\.1|\[::1\])(?::\d{1,5})?$/i;

/**
 * Identity of the embedded profile: admins by tokens from files, and every gRPC caller on this machine as a workload that holds all
 * mesh namespaces. @throws Error for a token that is too short to be one
 */
export function localIdentity(tokens: readonly LocalToken[]): Identity {
  const known = tokens.map((token) => {
    if (token.token.length < 16) throw new Error(`the token of ${token.principal} is shorter than 16 characters`);
    return { ...token, digest: sha256(token.token) };
  });
  return {
    adminCaller(authorization, source) {
      const bearer = bearerOf(authorization);
      const digest = sha256(bearer);
      // Every token is compared, in constant time, so that an answer's delay says nothing about any of them.
      const [match] = known.filter((token) => timingSafeEqual(token.digest, digest));
      if (match === undefined) {
        throw opsError(ErrorReason.TOKEN_INVALID, "the bearer token is not a valid one; read it again from its file");
      }
      return {
        actor: create(ActorSchema, { principal: match.principal, kind: Actor_Kind.ADMIN, source }),
        roles: new Set([match.role]),
        namespaces: new Set(),
      };
    },
    meshCaller: loopbackCaller,
  };
}

function bearerOf(authorization: string | undefined): string {
  if (authorization === undefined || authorization === "") {
    throw opsError(
      ErrorReason.TOKEN_MISSING,
      "no bearer token; send the header `Authorization: Bearer <token>` with the admin token",
    );
  }
  const bearer = /^Bearer +([\x21-\x7e]+) *$/i.exec(authorization)?.[1];
  if (bearer === undefined) {
    throw opsError(ErrorReason.TOKEN_INVALID, "the Authorization header is not of the form `Bearer <token>`");
  }
  return bearer;
}

function loopbackCaller(request: MeshRequest): Caller {
  if (!request.isGrpc) {
    throw identityMissing(
      "this is gRPC over HTTP/2 for internal callers; admins call methods under /v1/admin/operators",
    );
  }
  if (!isLoopback(request.remoteAddress)) throw identityMissing("internal methods answer to this machine only");
  if (request.authority === undefined || !LOCAL_AUTHORITY.test(request.authority)) {
    throw identityMissing("call localhost, 127.0.0.1 or [::1] by that name: any other host name is refused");
  }
  return {
    actor: create(ActorSchema, {
      principal: "local-mesh",
      kind: Actor_Kind.WORKLOAD,
      source: request.remoteAddress ?? "",
    }),
    roles: new Set(),
    namespaces: meshNamespaces,
  };
}

function isLoopback(address: string | undefined): boolean {
  const family = isIP(address ?? "");
  if (address === undefined || family === 0) return false;
  return loopback.check(address, family === 4 ? "ipv4" : "ipv6");
}

function identityMissing(text: string): Error {
  return opsError(ErrorReason.IDENTITY_MISSING, text);
}

function sha256(text: string): Buffer {
  return createHash("sha256").update(text, "utf8").digest();
}
