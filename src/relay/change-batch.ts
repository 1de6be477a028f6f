import type { Position } from "@operator-management/client";
import { and, asc, gt, lte, sql } from "drizzle-orm";
import { sameBytes } from "../catalog/bytes.ts";
import { readChanges } from "../catalog/read-changes.ts";
import type { ChangeRow } from "../catalog/revision.ts";
import type { Transaction } from "../db/db.ts";
import { configChange } from "../db/schema.ts";
import { nextFingerprint, sha256 } from "../history/fingerprint.ts";
import { changeEvent, subjectOf } from "./config-event.ts";
import { inOrder, type Outgoing } from "./outgoing.ts";
import { isComplete, type Origin, type Place } from "./place.ts";

const MAX_REVISIONS = 64n;
const MAX_BYTES = 2 * 1024 * 1024;

/** The next revisions to be told. */
export interface ChangeBatch {
  readonly messages: readonly Outgoing[];
  /** Where it ends, by chaining what was read to the place's fingerprint. */
  readonly end: Position;
}

/** What a batch is read with. */
export interface BatchContext {
  readonly head: Position;
  readonly origin: Origin | undefined;
  /** A position that is known to be in this history. */
  readonly checkpoint: Position | undefined;
  /** Records above this size are told by reference. */
  readonly maxBytes?: number;
}

/** The changes after a place, whole revisions, as many as fit; undefined when history doesn't go on from there. */
export async function readChangeBatch(
  tx: Transaction,
  place: Place,
  context: BatchContext,
): Promise<ChangeBatch | undefined> {
  const messages: Outgoing[] = [];
  let end = place.position;
  if (!isComplete(place)) {
    const rows = inOrder((await readChanges(tx, end.revision - 1n, end.revision)).get(end.revision) ?? []);
    if (rows.length !== place.count) return undefined;
    messages.push(...messagesOf(rows, end, context).slice(place.index + 1));
  }
  const through = await lastThatFits(tx, end.revision, context.head.revision);
  const changes = await readChanges(tx, end.revision, through);
  while (end.revision < through) {
    const revision = end.revision + 1n;
    const rows = changes.get(revision);
    if (rows === undefined) return undefined; // a gap
    const digests = rows.map(({ operatorId, record }) => ({ operatorId, digest: sha256(record) }));
    end = { store: end.store, revision, fingerprint: nextFingerprint(end.fingerprint, revision, digests) };
    if (contradicts(end, context.head) || contradicts(end, context.checkpoint)) return undefined;
    messages.push(...messagesOf(inOrder(rows), end, context));
  }
  return { messages, end };
}

function messagesOf(rows: readonly ChangeRow[], position: Position, { origin, maxBytes }: BatchContext): Outgoing[] {
  return rows.map((row, index) => ({
    subject: subjectOf(row.operatorId),
    data: changeEvent(row, position, 0, maxBytes),
    place: { position, part: "change", index, count: rows.length, origin },
  }));
}

/** At least one revision where there is one. */
async function lastThatFits(tx: Transaction, after: bigint, head: bigint): Promise<bigint> {
  if (head <= after + 1n) return head;
  const { revision, record } = configChange;
  const sizes = await tx
    .select({ revision, bytes: sql<number>`sum(octet_length(${record}))`.mapWith(Number) })
    .from(configChange)
    .where(and(gt(revision, after), lte(revision, head), lte(revision, after + MAX_REVISIONS)))
    .groupBy(revision)
    .orderBy(asc(revision));
  let last = after + 1n;
  let total = 0;
  for (const { revision: number, bytes } of sizes) {
    total += bytes;
    if (total > MAX_BYTES) break;
    last = number;
  }
  return last;
}

function contradicts(position: Position, known: Position | undefined): boolean {
  return known?.revision === position.revision && !sameBytes(known.fingerprint, position.fingerprint);
}
