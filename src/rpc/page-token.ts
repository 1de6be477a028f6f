import { createHash } from "node:crypto";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "./errors.ts";

/**
 * What a page token is bound to: a digest of every argument that decides which items there are and in which order. The size of a
 * page and the consistency of the first one may change on the way (AIP-158).
 */
export function hashArguments(...parts: readonly string[]): Uint8Array {
  return sha256(JSON.stringify(parts)).subarray(0, 8);
}

/**
 * The opaque text of a place in a list: after the item with this sort key. Nothing in it is secret or trusted; the checksum only tells
 * a damaged token from a good one.
 */
export function encodePageToken(key: readonly string[], argsHash: Uint8Array): string {
  const body = Buffer.concat([argsHash, Buffer.from(JSON.stringify(key))]);
  return Buffer.concat([checksum(body), body]).toString("base64url");
}

/** The sort key that a page continues after, in as many parts as asked for; undefined for the first page. Throws PAGE_TOKEN_INVALID. */
export function decodePageToken(token: string, argsHash: Uint8Array, parts: number): string[] | undefined {
  if (token === "") return undefined;
  if (!/^[A-Za-z0-9_-]{16,4096}$/.test(token)) throw pageTokenInvalid();
  const bytes = Buffer.from(token, "base64url");
  const body = bytes.subarray(4);
  if (!checksum(body).equals(bytes.subarray(0, 4))) throw pageTokenInvalid("is damaged");
  if (!body.subarray(0, argsHash.length).equals(argsHash))
    throw pageTokenInvalid("belongs to a call with other arguments");
  const key = parseKey(body.subarray(argsHash.length).toString());
  if (key?.length !== parts) throw pageTokenInvalid("belongs to another version of this service");
  return key;
}

/** PAGE_TOKEN_INVALID. Page tokens aren't signed, so whoever uses their parts checks them like any input. */
export function pageTokenInvalid(what = "is not one that this service gave out"): Error {
  const description = `${what}: send next_page_token as it came, with the same arguments, or start again without it`;
  return opsError(ErrorReason.PAGE_TOKEN_INVALID, `page_token ${description}`, {
    violations: [{ field: "page_token", description }],
    metadata: { field: "page_token" },
  });
}

function parseKey(json: string): string[] | undefined {
  try {
    const key: unknown = JSON.parse(json);
    return Array.isArray(key) && key.every((part) => typeof part === "string") ? key : undefined;
  } catch {
    return undefined; // anyone can compute the checksum
  }
}

function checksum(body: Uint8Array): Buffer {
  return sha256(body).subarray(0, 4);
}

function sha256(data: string | Uint8Array): Buffer {
  return createHash("sha256").update(data).digest();
}
