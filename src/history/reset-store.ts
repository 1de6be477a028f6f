import type { Position } from "@operator-management/client";
import { and, asc, eq, gt, lte, or, sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { auditEvent, configChange, configHead, nodeStatus, requestLog } from "../db/schema.ts";
import { genesis, nextFingerprint, type RecordDigest } from "./fingerprint.ts";
import { lockHead } from "./head.ts";
import { verifyHistory } from "./verify.ts";

const BATCH = 5_000;

/** The store can't be reset; the text says why. */
export class StoreResetError extends Error {
  constructor(text: string) {
    super(text);
    this.name = "StoreResetError";
  }
}

/**
 * Gives a copy of a store an identity of its own: a new id, and the same history chained anew from that id's genesis, so that no position of the
 * original is one of the copy's and VerifyHistory still says of every byte whether it fits. History is verified first: a new chain must not
 * make damage look right. What belongs to the original alone is removed: remembered replies, which hold its tokens, and its nodes.
 * @throws StoreResetError
 */
export async function resetStore(tx: Transaction): Promise<{ readonly before: Position; readonly after: Position }> {
  const { position: before, now } = await lockHead(tx);
  const { problems } = await verifyHistory(tx);
  if (problems.length > 0) {
    const first = problems[0];
    throw new StoreResetError(
      `the history is damaged in ${problems.length} places, first in ${first?.table}: ${first?.text}; \`verify\` lists them`,
    );
  }
  const store = await newStoreId(tx);
  const fingerprint = await chainAnew(tx, store, before.revision);
  const after: Position = { store, revision: before.revision, fingerprint };
  await tx.update(configHead).set({ storeId: store, fingerprint });
  await tx.delete(requestLog);
  await tx.delete(nodeStatus);
  await tx.insert(auditEvent).values({
    time: now,
    actorPrincipal: "store reset",
    actorKind: "SYSTEM",
    source: "",
    method: "StoreReset",
    target: "store",
    result: "OK",
    requestId: "",
    detail: { revision: String(before.revision), before: inHex(before), after: inHex(after) },
  });
  return { before, after };
}

/** As the first migration mints it. */
async function newStoreId(tx: Transaction): Promise<Uint8Array> {
  const [row] = await tx
    .select({ id: sql<Uint8Array>`uuid_send(gen_random_uuid())`.mapWith(configHead.storeId) })
    .from(sql`(values (1)) as one`);
  if (row === undefined) throw new Error("a SELECT of one row gave none");
  return row.id;
}

async function chainAnew(tx: Transaction, store: Uint8Array, upTo: bigint): Promise<Uint8Array> {
  let fingerprint = genesis(store);
  let revision = 0n;
  let digests: RecordDigest[] = [];
  let last: { readonly revision: bigint; readonly uid: string } | undefined;
  for (;;) {
    const rows = await digestsAfter(tx, last, upTo);
    for (const row of rows) {
      if (row.revision !== revision && digests.length > 0) {
        fingerprint = nextFingerprint(fingerprint, revision, digests);
        digests = [];
      }
      revision = row.revision;
      digests.push({ operatorId: row.operatorId, digest: row.digest });
    }
    if (rows.length < BATCH) break;
    last = rows.at(-1);
  }
  return digests.length === 0 ? fingerprint : nextFingerprint(fingerprint, revision, digests);
}

function digestsAfter(
  tx: Transaction,
  last: { readonly revision: bigint; readonly uid: string } | undefined,
  upTo: bigint,
) {
  const { revision, operatorUid, operatorId, record } = configChange;
  const after = last && or(gt(revision, last.revision), and(eq(revision, last.revision), gt(operatorUid, last.uid)));
  return tx
    .select({
      revision,
      uid: operatorUid,
      operatorId,
      digest: sql<Uint8Array>`sha256(${record})`.mapWith(record),
    })
    .from(configChange)
    .where(and(lte(revision, upTo), after))
    .orderBy(asc(revision), asc(operatorUid))
    .limit(BATCH);
}

function inHex({ store, fingerprint }: Position): Record<string, string> {
  return { store: Buffer.from(store).toString("hex"), fingerprint: Buffer.from(fingerprint).toString("hex") };
}
