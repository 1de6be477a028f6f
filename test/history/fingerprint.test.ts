import { createHash } from "node:crypto";
import { expect, test } from "vitest";
import { genesis, nextFingerprint, sha256 } from "../../src/history/fingerprint.ts";

const store = Buffer.from("00112233445566778899aabbccddeeff", "hex");

function hex(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString("hex");
}

test("the first fingerprint is the SHA-256 of the store's id", () => {
  expect(hex(genesis(store))).toBe(createHash("sha256").update(store).digest("hex"));
});

test("a fingerprint covers the rule's name, the one before, the revision, how many records, and their digests by operator id", () => {
  const previous = genesis(store);
  const a = sha256(Buffer.from("record of a"));
  const b = sha256(Buffer.from("record of b"));
  const expected = createHash("sha256")
    .update(
      Buffer.concat([
        Buffer.from("6f707331", "hex"), // "ops1"
        previous,
        Buffer.from("0102030405060708", "hex"),
        Buffer.from("00000002", "hex"),
        a,
        b,
      ]),
    )
    .digest("hex");
  const fingerprint = nextFingerprint(previous, 0x0102030405060708n, [
    { operatorId: "beta", digest: b },
    { operatorId: "alpha", digest: a },
  ]);
  expect(hex(fingerprint)).toBe(expected);
});

test("the rule is frozen: a known history has a known fingerprint", () => {
  const records = ["one", "two", "three"].map((text) => Buffer.from(text));
  const end = records.reduce<Uint8Array>(
    (fingerprint, record, i) =>
      nextFingerprint(fingerprint, BigInt(i + 1), [{ operatorId: "acme", digest: sha256(record) }]),
    genesis(store),
  );
  expect(hex(end)).toBe("df7f3f5a7206e66b2db344638edad76b97697129bc33505d926d5279e899c7c7");
});
