import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { ChangeKind, ConfigChangeSchema, type ConfigChange } from "@operator-management/contract/ops/v1/event_pb.js";
import { desc, eq, getTableColumns, gt, inArray, sql } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { configChange, operator } from "../db/schema.ts";
import { decodeRecord } from "./decode-record.ts";
import type { Findings } from "./findings.ts";
import { operatorRow, type OperatorRow } from "./operator-row.ts";
import { differingColumns } from "./row-differences.ts";

/** Rows at once: 32 of the largest operators, twice, are 16 MiB. */
const BATCH = 32;

/** Derives every current row from its operator's last change and compares; returns how many rows there are. */
export async function verifyOperators(
  db: Database,
  uids: ReadonlySet<string>,
  findings: Findings,
  pause: () => Promise<void>,
): Promise<number> {
  const unseen = new Set(uids);
  let last: string | undefined;
  let count = 0;
  for (;;) {
    const rows = await rowsAfter(db, last);
    for (const { row, revision, record } of rows) {
      unseen.delete(row.uid);
      for (const text of problemsOf(row, revision, record)) {
        findings.add({ table: "operator", revisionId: String(row.revision), operatorUid: row.uid, text });
      }
    }
    count += rows.length;
    await pause();
    if (rows.length < BATCH) break;
    last = rows.at(-1)?.row.uid;
  }
  const left = [...unseen];
  for (let i = 0; i < left.length; i += BATCH) {
    await findMissingRows(db, left.slice(i, i + BATCH), findings);
    await pause();
  }
  return count;
}

function problemsOf(row: OperatorRow, revision: bigint | null, record: Uint8Array | null): string[] {
  if (revision === null || record === null) return ["history knows no such uid"];
  const change = decodeRecord(ConfigChangeSchema, record);
  if (change === undefined) return ["the last change's record doesn't decode"];
  if (isPurge(change)) return ["it was purged, and its row is still there"];
  const current = decodeRecord(OperatorSchema, change.operator);
  if (current === undefined) return ["the last change's operator doesn't decode"];
  return differingColumns(row, operatorRow(revision, change.operator, current)).map(
    (column) => `${column}: it doesn't follow from the last change`,
  );
}

/** Each row with its last change, from one snapshot. */
function rowsAfter(db: Database, last: string | undefined) {
  const change = db
    .select({ revision: configChange.revision, record: configChange.record })
    .from(configChange)
    .where(eq(configChange.operatorUid, operator.uid))
    .orderBy(desc(configChange.revision))
    .limit(1)
    .as("change");
  return db
    .select({ row: getTableColumns(operator), revision: change.revision, record: change.record })
    .from(operator)
    .leftJoinLateral(change, sql`true`)
    .where(last === undefined ? undefined : gt(operator.uid, last))
    .orderBy(operator.uid)
    .limit(BATCH);
}

/** Of these operators, those whose last change left them in being, but without a row. */
async function findMissingRows(db: Database, uids: string[], findings: Findings): Promise<void> {
  const changes = await db
    .selectDistinctOn([configChange.operatorUid], {
      uid: configChange.operatorUid,
      revision: configChange.revision,
      record: configChange.record,
      row: operator.uid,
    })
    .from(configChange)
    .leftJoin(operator, eq(operator.uid, configChange.operatorUid))
    .where(inArray(configChange.operatorUid, uids))
    .orderBy(configChange.operatorUid, desc(configChange.revision));
  for (const { uid, revision, record, row } of changes) {
    const change = decodeRecord(ConfigChangeSchema, record);
    if (row !== null || (change !== undefined && isPurge(change))) continue;
    findings.add({ table: "operator", revisionId: String(revision), operatorUid: uid, text: "its row is missing" });
  }
}

function isPurge(change: ConfigChange): boolean {
  return change.kind === ChangeKind.PURGED;
}
