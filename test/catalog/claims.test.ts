import { expect, test } from "vitest";
import { Claims } from "../../src/catalog/claims.ts";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { reasonOf } from "../../src/rpc/errors.ts";

const fingerprint = (n: number): Uint8Array => new Uint8Array(32).fill(n);

test("a wrong claim is refuted once, however often it is made", () => {
  const claims = new Claims();
  let proofs = 0;
  const prove = () => ({ holds: false, hashes: ++proofs });
  for (let n = 0; n < 5; n++) expect(claims.check(7n, fingerprint(1), prove)).toBe(false);
  expect(proofs).toBe(1);
  claims.check(8n, fingerprint(1), prove);
  claims.check(7n, fingerprint(2), prove);
  expect(proofs).toBe(3);
});

test("refuting has a budget per second, beyond which nothing is said; claims that hold don't count", () => {
  let now = 0;
  const claims = new Claims(() => now);
  const wrong = (n: number): boolean =>
    claims.check(BigInt(n), fingerprint(0), () => ({ holds: false, hashes: 10_000 }));
  for (let n = 0; n < 9; n++) {
    expect(claims.check(1n, fingerprint(1), () => ({ holds: true, hashes: 10_000 }))).toBe(true);
  }
  expect([wrong(1), wrong(2)]).toEqual([false, false]);
  let thrown: unknown;
  try {
    wrong(3);
  } catch (error) {
    thrown = error;
  }
  expect(reasonOf(thrown)).toBe(ErrorReason.CATALOG_BEHIND);
  expect(wrong(1), "is known").toBe(false);
  now += 1_000;
  expect(wrong(3)).toBe(false);
});
