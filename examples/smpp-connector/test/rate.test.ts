import { create } from "@bufbuild/protobuf";
import { ThroughputSchema, ThroughputScope } from "@operator-management/contract/ops/v1/session_pb.js";
import { expect, test } from "vitest";
import { RateLimit } from "../src/rate-limit.ts";
import { TokenBucket } from "../src/token-bucket.ts";

/** How many segments pass in a second, asked for every millisecond. */
function passInASecond(bucket: TokenBucket, clock: { now: number }): number {
  let passed = 0;
  for (let i = 0; i < 1_000; i++, clock.now++) while (bucket.take() === 0) passed++;
  return passed;
}

test("a bucket passes its burst at once and its rate from then on", () => {
  const clock = { now: 0 };
  const bucket = new TokenBucket(30, 10, () => clock.now);
  expect(passInASecond(bucket, clock)).toBe(10 + 29);
  expect(passInASecond(bucket, clock)).toBe(30);
});

test("an empty bucket says how long to wait", () => {
  const bucket = new TokenBucket(30, 1, () => 0);
  expect([bucket.take(), bucket.take()]).toEqual([0, 1000 / 30]);
});

test("a new rate counts at once, without a burst of its own", () => {
  const clock = { now: 0 };
  const bucket = new TokenBucket(30, 30, () => clock.now);
  passInASecond(bucket, clock);
  bucket.configure(80, 80);
  const passed = passInASecond(bucket, clock);
  expect(passed).toBeGreaterThanOrEqual(79);
  expect(passed).toBeLessThanOrEqual(81);
});

test.for([
  [ThroughputScope.ACCOUNT, 2],
  [ThroughputScope.ENDPOINT, 4],
  [ThroughputScope.BIND, 6],
] as const)("scope %i: 2 segments at once for each that is counted", ([scope, passed]) => {
  const limit = new RateLimit(create(ThroughputSchema, { maxSegmentsPerSecond: 0.1, burst: 2, scope }));
  const binds = [
    ["a", "bind 1"],
    ["a", "bind 2"],
    ["b", "bind 3"],
  ] as const;
  const takes = binds.flatMap(([endpoint, bind]) => [1, 2, 3].map(() => limit.take(endpoint, bind)));
  expect(takes.filter((wait) => wait === 0)).toHaveLength(passed);
});

test("without a rate nothing may be sent", () => {
  expect(new RateLimit(undefined).take("a", "bind 1")).toBe(Number.POSITIVE_INFINITY);
});
