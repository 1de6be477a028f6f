import { randomBytes } from "node:crypto";
import type { Position } from "@operator-management/client";
import fc from "fast-check";
import { expect, test } from "vitest";
import { Ring } from "../../src/catalog/ring.ts";
import type { Revision } from "../../src/catalog/revision.ts";
import { genesis, nextFingerprint } from "../../src/history/fingerprint.ts";

interface Chain {
  readonly positions: readonly Position[];
  readonly revisions: readonly Revision[];
}

/** A history of so many revisions, each of so many bytes. */
function chainOf(length: number, bytes = 100): Chain {
  const store = randomBytes(16);
  const positions: Position[] = [{ store, revision: 0n, fingerprint: genesis(store) }];
  const revisions: Revision[] = [];
  for (let number = 1n; number <= length; number++) {
    const digests = [{ operatorId: "a", digest: randomBytes(32) }];
    const previous = positions.at(-1)?.fingerprint ?? new Uint8Array();
    revisions.push({ revision: number, changes: [], digests, bytes });
    positions.push({ store, revision: number, fingerprint: nextFingerprint(previous, number, digests) });
  }
  return { positions, revisions };
}

function pushAll(ring: Ring, { positions, revisions }: Chain, from: number): Ring {
  for (const revision of revisions.slice(from)) {
    ring.push(revision, positions[Number(revision.revision)]?.fingerprint ?? new Uint8Array());
  }
  return ring;
}

test("however it was filled, a ring holds the same end of the history and knows its positions", () => {
  const parameters = fc.record({ length: fc.nat(30), loaded: fc.nat(30), limit: fc.integer({ min: 1, max: 12 }) });
  fc.assert(
    fc.property(parameters, ({ length, loaded, limit }) => {
      const chain = chainOf(length);
      const head = Math.min(loaded, length);
      const start = chain.positions[head];
      if (start === undefined) throw new Error("no such position");
      const limits = { bytes: 1e6, revisions: limit };
      const ring = pushAll(new Ring(start, chain.revisions.slice(0, head), limits), chain, head);

      expect(ring.head).toEqual(chain.positions[length]);
      expect(ring.floor).toBe(BigInt(Math.max(0, length - limit)));
      expect(ring.size).toBe(Math.min(length, limit));
      for (let cursor = Number(ring.floor); cursor <= length; cursor++) {
        expect(ring.after(BigInt(cursor))).toBe(chain.revisions[cursor]);
        const { revision, fingerprint } = chain.positions[cursor] ?? start;
        expect(ring.contains(revision, randomBytes(32))).toBe(false);
        expect(ring.contains(revision, fingerprint)).toBe(true);
        expect(ring.positionOf(revision)).toEqual(chain.positions[cursor]);
      }
    }),
  );
});

test("a position that has been shown to lead to the head makes all after it known", () => {
  const { positions, revisions } = chainOf(5);
  const [, , second, , , head] = positions;
  if (second === undefined || head === undefined) throw new Error("too short");
  const ring = new Ring(head, revisions);
  expect([0n, 1n, 2n, 3n, 4n, 5n].filter((revision) => ring.positionOf(revision) !== undefined)).toEqual([5n]);
  expect(ring.contains(2n, second.fingerprint)).toBe(true);
  expect([0n, 1n, 2n, 3n, 4n, 5n].filter((revision) => ring.positionOf(revision) !== undefined)).toEqual([
    2n,
    3n,
    4n,
    5n,
  ]);
});

test("it keeps within its bytes, but always the last revision", () => {
  const chain = chainOf(10, 100);
  const [start] = chain.positions;
  if (start === undefined) throw new Error("too short");
  expect(pushAll(new Ring(start, [], { bytes: 350, revisions: 100 }), chain, 0).size).toBe(3);
  expect(pushAll(new Ring(start, [], { bytes: 10, revisions: 100 }), chain, 0).size).toBe(1);
});

test("a revision out of order is refused", () => {
  const { positions, revisions } = chainOf(3);
  const [start] = positions;
  const [, second] = revisions;
  if (start === undefined || second === undefined) throw new Error("too short");
  expect(() => new Ring(start).push(second, new Uint8Array(32))).toThrow("contiguous");
});
