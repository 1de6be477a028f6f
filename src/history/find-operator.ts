import { fromBinary } from "@bufbuild/protobuf";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { arrayOverlaps, eq } from "drizzle-orm";
import type { Database } from "../db/db.ts";
import { operator } from "../db/schema.ts";
import type { OperatorRow } from "./operator-row.ts";

/** A database or an open transaction: inside a transaction always the transaction. */
export type Reader = Pick<Database, "select">;

/** The current record of the operator, also of a deleted one; undefined when there is none or it was purged. */
export async function findOperator(reader: Reader, id: string): Promise<Operator | undefined> {
  const row = await findOperatorRow(reader, id);
  return row === undefined ? undefined : fromBinary(OperatorSchema, row.record);
}

/** The current row of the operator, with its revision and encoded record; also of a deleted one. */
export async function findOperatorRow(reader: Reader, id: string): Promise<OperatorRow | undefined> {
  const [row] = await reader.select().from(operator).where(eq(operator.id, id));
  return row;
}

/** The operators that route at least one of the coverage keys now. */
export async function operatorsWithLiveCoverage(reader: Reader, keys: readonly string[]): Promise<Operator[]> {
  if (keys.length === 0) return [];
  const rows = await reader
    .select({ record: operator.record })
    .from(operator)
    .where(arrayOverlaps(operator.liveCoverage, [...keys]))
    .orderBy(operator.id);
  return rows.map((row) => fromBinary(OperatorSchema, row.record));
}
