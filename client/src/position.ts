import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { decodeToken } from "./token.ts";

/** What a token's text holds. Throws CatalogError TOKEN_INVALID. */
export function positionOf(token: string): Token {
  const position = decodeToken(token);
  if (position === undefined) throw new CatalogError("TOKEN_INVALID", "that text is no token of this service");
  return position;
}

/** Whether two tokens are of one installation. */
export function isSameStore(a: Token, b: Token): boolean {
  return bytesEqual(a.store, b.store);
}

/** Whether two tokens name the same place in the same history, whatever their filters. */
export function isSamePosition(a: Token, b: Token): boolean {
  return isSameStore(a, b) && a.revision === b.revision && bytesEqual(a.fingerprint, b.fingerprint);
}

function bytesEqual(a: Uint8Array, b: Uint8Array): boolean {
  return a.length === b.length && a.every((byte, index) => byte === b[index]);
}
