import { create } from "@bufbuild/protobuf";
import { TimestampSchema, type Timestamp } from "@bufbuild/protobuf/wkt";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { and, lte, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { configChange, configHead } from "../db/schema.ts";
import { decodeRecord } from "./decode-record.ts";
import type { Findings } from "./findings.ts";
import { genesis, nextFingerprint, sha256, type RecordDigest } from "./fingerprint.ts";
import { sameBytes, sameTime } from "./row-differences.ts";

/** Rows at once: 64 of the largest records are 20 MiB. */
const BATCH = 64;
const LAST_REVISION = 2n ** 63n - 1n;

type Head = typeof configHead.$inferSelect;
type ChangeRow = typeof configChange.$inferSelect;

/** What the walk along history met. */
export interface VerifiedChain {
  readonly revisions: number;
  /** Every operator that a change names. */
  readonly uids: ReadonlySet<string>;
}

/** Walks history from its first revision to the head's, and compares where it arrives with what the head says. */
export async function verifyChain(
  db: Database,
  head: Head | undefined,
  findings: Findings,
  pause: () => Promise<void>,
): Promise<VerifiedChain> {
  const walk = new ChainWalk(head, findings);
  let last: ChangeRow | undefined;
  for (;;) {
    const rows = await changesAfter(db, last, head?.revision ?? LAST_REVISION);
    for (const row of rows) walk.step(row);
    if (rows.length < BATCH) break;
    last = rows.at(-1);
    await pause();
  }
  walk.arrive();
  await findChangesBeyondHead(db, findings);
  return walk;
}

/** The chain as far as it has been walked. */
class ChainWalk implements VerifiedChain {
  readonly uids = new Set<string>();
  revisions = 0;
  readonly #head: Head | undefined;
  readonly #findings: Findings;
  #fingerprint: Uint8Array;
  #commitTime: Timestamp | undefined = create(TimestampSchema); // the epoch, as the head's before the first change
  #revision = 0n;
  #digests: RecordDigest[] = [];

  constructor(head: Head | undefined, findings: Findings) {
    this.#head = head;
    this.#findings = findings;
    this.#fingerprint = genesis(head?.storeId ?? new Uint8Array());
  }

  step(row: ChangeRow): void {
    const add = (text: string): void =>
      this.#findings.add({
        table: "config_change",
        revisionId: String(row.revision),
        operatorUid: row.operatorUid,
        text,
      });
    if (row.revision < 1n) return add("revision: there is none below 1");
    if (row.revision !== this.#revision) this.#begin(row.revision);
    this.#digests.push({ operatorId: row.operatorId, digest: sha256(row.record) });
    this.uids.add(row.operatorUid);

    const change = decodeRecord(ConfigChangeSchema, row.record);
    this.#commitTime = change?.commitTime;
    if (change === undefined) return add("record: it doesn't decode");
    if (change.revision !== row.revision) add("revision: it is not the record's");
    if (change.uid !== row.operatorUid) add("operator_uid: it is not the record's");
    if (change.operatorId !== row.operatorId) add("operator_id: it is not the record's");
  }

  /** Compares the end of the walk with the head. */
  arrive(): void {
    this.#close();
    const head = this.#head;
    if (head === undefined) return;
    const add = (text: string): void =>
      this.#findings.add({ table: "config_head", revisionId: String(head.revision), text });
    if (this.#revision !== head.revision) add(`revision: history ends at ${this.#revision}`);
    if (!sameBytes(this.#fingerprint, head.fingerprint)) {
      add(
        "fingerprint: the stored history doesn't lead to it; a record, its operator_id, the store_id or the fingerprint was changed",
      );
    }
    if (!sameTime(this.#commitTime ?? null, head.commitTime)) add("commit_time: it is not the last record's");
  }

  #begin(revision: bigint): void {
    this.#close();
    const expected = this.#revision + 1n;
    if (revision !== expected) {
      const text = `the revisions from ${expected} to ${revision - 1n} are missing`;
      this.#findings.add({ table: "config_change", revisionId: String(expected), text });
    }
    this.#revision = revision;
  }

  #close(): void {
    if (this.#digests.length === 0) return;
    this.#fingerprint = nextFingerprint(this.#fingerprint, this.#revision, this.#digests);
    this.#digests = [];
    this.revisions++;
  }
}

function changesAfter(db: Database, last: ChangeRow | undefined, upTo: bigint): Promise<ChangeRow[]> {
  const { revision, operatorUid } = configChange;
  const after = last && sql`(${revision}, ${operatorUid}) > (${last.revision}, ${last.operatorUid})`;
  return db
    .select()
    .from(configChange)
    .where(and(lte(revision, upTo), after))
    .orderBy(revision, operatorUid)
    .limit(BATCH);
}

async function findChangesBeyondHead(db: Database, findings: Findings): Promise<void> {
  const [beyond] = await db
    .select({ first: sql<string | null>`min(${configChange.revision})::text` })
    .from(configChange)
    .innerJoin(configHead, sql`${configChange.revision} > ${configHead.revision}`);
  const first = beyond?.first ?? null;
  if (first === null) return;
  findings.add({ table: "config_change", revisionId: first, text: "revision: it is beyond the head's" });
}
