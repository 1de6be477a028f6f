import type { Position } from "@operator-management/client";
import { and, asc, gt, lte, sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { configChange } from "../db/schema.ts";
import { nextFingerprint, type RecordDigest } from "../history/fingerprint.ts";
import { sameBytes } from "./bytes.ts";
import type { Ring } from "./ring.ts";

/** How far beyond memory a history is followed, in revisions: who is further ahead isn't asked. */
const FURTHEST = 10_000n;
const AT_ONCE = 1_000n;

/** The last position beyond a head in memory that a chain was followed to, so that a standby that stays ahead is followed once. */
const followed = new WeakMap<Position, Position>();

/**
 * Whether a snapshot with this head is of the ring's history: the head is in the ring, or the snapshot's own records lead to it from the
 * ring's head. False also where that can't be told.
 */
export async function leadsTo(tx: Transaction, ring: Ring, head: Position): Promise<boolean> {
  if (!sameBytes(ring.store, head.store)) return false;
  const start = ring.head; // it may move on while records are read
  if (head.revision <= start.revision) return ring.contains(head.revision, head.fingerprint);
  const known = followed.get(start);
  const from = known !== undefined && known.revision <= head.revision ? known : start;
  if (head.revision - from.revision > FURTHEST) return false;
  const reached = await follow(tx, from, head.revision);
  if (reached === undefined || !sameBytes(reached, head.fingerprint)) return false;
  followed.set(start, head);
  return true;
}

/** The fingerprint that the records lead to; undefined when there is a gap. */
async function follow(tx: Transaction, from: Position, to: bigint): Promise<Uint8Array | undefined> {
  let { revision, fingerprint } = from;
  while (revision < to) {
    const until = revision + AT_ONCE < to ? revision + AT_ONCE : to;
    const digests = await digestsBetween(tx, revision, until);
    for (; revision < until; revision++) {
      const next = digests.get(revision + 1n);
      if (next === undefined) return undefined;
      fingerprint = nextFingerprint(fingerprint, revision + 1n, next);
    }
  }
  return fingerprint;
}

async function digestsBetween(tx: Transaction, after: bigint, through: bigint): Promise<Map<bigint, RecordDigest[]>> {
  const rows = await tx
    .select({
      revision: configChange.revision,
      operatorId: configChange.operatorId,
      digest: sql<Uint8Array>`sha256(${configChange.record})`.mapWith(configChange.record),
    })
    .from(configChange)
    .where(and(gt(configChange.revision, after), lte(configChange.revision, through)))
    .orderBy(asc(configChange.revision));
  return Map.groupBy(rows, (row) => row.revision);
}
