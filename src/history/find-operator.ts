import { fromBinary } from "@bufbuild/protobuf";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { and, arrayOverlaps, eq, ne } from "drizzle-orm";
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

/** The live coverage of each other operator that has at least one of these coverage keys in it, deleted ones have none. */
export async function liveCoverageOfOthers(
  reader: Reader,
  operatorId: string,
  keys: readonly string[],
): Promise<string[][]> {
  if (keys.length === 0) return [];
  const rows = await reader
    .select({ liveCoverage: operator.liveCoverage })
    .from(operator)
    .where(and(ne(operator.id, operatorId), arrayOverlaps(operator.liveCoverage, [...keys])));
  return rows.map((row) => row.liveCoverage);
}
