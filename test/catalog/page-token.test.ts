import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import fc from "fast-check";
import { expect, test } from "vitest";
import { reasonOf } from "../../src/rpc/errors.ts";
import { decodePageToken, encodePageToken, hashArguments } from "../../src/rpc/page-token.ts";

const args = hashArguments("ListOperators", "kind = MNO", "id");

function reasonFor(token: string, hash = args, parts = 2): ErrorReason | undefined {
  try {
    decodePageToken(token, hash, parts);
    return undefined;
  } catch (error) {
    return reasonOf(error);
  }
}

test("a page token brings its key back", () => {
  fc.assert(
    fc.property(fc.array(fc.string({ unit: "grapheme" }), { minLength: 1, maxLength: 4 }), (key) => {
      expect(decodePageToken(encodePageToken(key, args), args, key.length)).toEqual(key);
    }),
  );
});

test("an empty page token is the first page", () => {
  expect(decodePageToken("", args, 2)).toBeUndefined();
});

test("a page token is refused with other arguments, with any changed character, and for any other text", () => {
  const token = encodePageToken(["a", "b"], args);
  expect(reasonFor(token)).toBeUndefined();
  expect(reasonFor(token, hashArguments("ListOperators", "kind = HUB", "id"))).toBe(ErrorReason.PAGE_TOKEN_INVALID);
  expect(reasonFor(token, args, 3)).toBe(ErrorReason.PAGE_TOKEN_INVALID);
  for (let at = 0; at < token.length; at++) {
    const other = token.charAt(at) === "x" ? "Y" : "x";
    expect(reasonFor(token.slice(0, at) + other + token.slice(at + 1))).toBe(ErrorReason.PAGE_TOKEN_INVALID);
  }
  fc.assert(
    fc.property(fc.oneof(fc.string({ minLength: 1 }), fc.base64String({ minLength: 1 })), (text) => {
      expect(reasonFor(text)).toBe(ErrorReason.PAGE_TOKEN_INVALID);
    }),
  );
});

test("arguments don't run into each other", () => {
  expect(hashArguments("a", "b")).not.toEqual(hashArguments("ab", ""));
});
