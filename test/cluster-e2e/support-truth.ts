import { fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Postgres } from "../cluster/postgres.ts";
import type { TrueRevision } from "../history-checker/observation.ts";
import { truthOf, type StoredChange } from "../history-checker/read-truth.ts";

/** What the primary holds, read past the service. */
export interface StoredHistory {
  readonly truth: readonly TrueRevision[];
  readonly rows: readonly StoredChange[];
}

export async function readHistory({ primary }: Postgres): Promise<StoredHistory> {
  const [head] = await primary.query<{ store_id: Buffer }>("SELECT store_id FROM config_head");
  if (head === undefined) throw new Error("the store has no head");
  const stored = await primary.query<{ revision: string; operator_id: string; record: Buffer }>(
    "SELECT revision, operator_id, record FROM config_change ORDER BY revision, operator_id",
  );
  const rows = stored.map(({ revision, operator_id: operatorId, record }) => {
    return { revision: BigInt(revision), operatorId, record };
  });
  return { truth: truthOf(head.store_id, rows), rows };
}

/** The last revision's number. */
export async function readHeadRevision({ primary }: Postgres): Promise<number> {
  const [head] = await primary.query<{ revision: string }>("SELECT revision FROM config_head");
  if (head === undefined) throw new Error("the store has no head");
  return Number(head.revision);
}

/** The encoded live operators of the table `operator`, as hex, by id. */
export async function storedOperators({ primary }: Postgres): Promise<ReadonlyMap<string, string>> {
  const rows = await primary.query<{ id: string; record: Buffer }>(
    "SELECT id, record FROM operator WHERE delete_time IS NULL",
  );
  return new Map(rows.map(({ id, record }) => [id, record.toString("hex")]));
}

/** The operator as a stored change left it. */
export function operatorOf({ record }: Pick<StoredChange, "record">): Operator {
  return fromBinary(OperatorSchema, fromBinary(ConfigChangeSchema, record).operator);
}
