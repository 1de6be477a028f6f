import { fromBinary } from "@bufbuild/protobuf";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { and, asc, gt, isNotNull, or } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { operator } from "../db/schema.ts";
import { CatalogEntry } from "./entry.ts";

const ROWS_AT_ONCE = 100;

/**
 * Deleted operators, and whatever changed after this revision, as one snapshot shows them: laid over the catalog as it was at that
 * revision they make one consistent state.
 */
export async function readDeletedAndNewer(
  tx: Transaction,
  revision: bigint,
  take: (entry: CatalogEntry) => void,
): Promise<void> {
  let after = "00000000-0000-0000-0000-000000000000";
  for (;;) {
    const rows = await tx
      .select({ uid: operator.uid, record: operator.record, digest: operator.digest })
      .from(operator)
      .where(and(gt(operator.uid, after), or(isNotNull(operator.deleteTime), gt(operator.revision, revision))))
      .orderBy(asc(operator.uid))
      .limit(ROWS_AT_ONCE);
    for (const { record, digest } of rows) take(new CatalogEntry(fromBinary(OperatorSchema, record), record, digest));
    const last = rows.at(-1);
    if (last === undefined || rows.length < ROWS_AT_ONCE) return;
    after = last.uid;
  }
}
