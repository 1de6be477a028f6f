import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { base64Decode, base64Encode } from "@bufbuild/protobuf/wire";
import { TokenSchema, type Token } from "@operator-management/contract/ops/v1/common_pb.js";

/** A place in one store's commit-ordered history: what a token holds, without the filter. */
export interface Position {
  /** The store's id, 16 bytes. */
  readonly store: Uint8Array;
  /** 0 before the first change. */
  readonly revision: bigint;
  /** The revision's fingerprint, 32 bytes. */
  readonly fingerprint: Uint8Array;
}

/** The opaque text of a position; with `filterHash` (8 bytes) it can resume a watch that has this filter. */
export function encodeToken(position: Position, filterHash: Uint8Array = new Uint8Array()): string {
  const { store, revision, fingerprint } = position;
  return base64Encode(toBinary(TokenSchema, create(TokenSchema, { store, revision, fingerprint, filterHash })), "url");
}

/** What a token's text holds, or undefined if it is none: not base64url, not a Token, or parts of the wrong length. */
export function decodeToken(text: string): Token | undefined {
  if (!/^[A-Za-z0-9_-]{1,512}$/.test(text)) return undefined;
  let token: Token;
  try {
    token = fromBinary(TokenSchema, base64Decode(text));
  } catch {
    return undefined; // any text may be sent as a token; the caller says which field it stood in
  }
  const plausible =
    token.store.length === 16 &&
    token.fingerprint.length === 32 &&
    (token.filterHash.length === 0 || token.filterHash.length === 8) &&
    token.$unknown === undefined;
  return plausible ? token : undefined;
}
