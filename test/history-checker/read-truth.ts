import { createHash } from "node:crypto";
import { join } from "node:path";
import { fromBinary } from "@bufbuild/protobuf";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { asc } from "drizzle-orm";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { configChange, configHead } from "../../src/db/schema.ts";
import type { TrueRevision, TrueState } from "./observation.ts";
import { stateOf } from "./record-watch.ts";

/** One row of the table `config_change`, as far as it counts here. */
export interface StoredChange {
  readonly revision: bigint;
  readonly operatorId: string;
  readonly record: Uint8Array;
}

/** The history in the folder of an embedded service that has ended. */
export async function readTruth(dataDir: string): Promise<TrueRevision[]> {
  const database = await openEmbeddedDatabase(join(dataDir, "postgres"));
  try {
    const [head] = await database.db.select().from(configHead);
    if (head === undefined) throw new Error("the store has no head");
    const rows = await database.db
      .select()
      .from(configChange)
      .orderBy(asc(configChange.revision), asc(configChange.operatorId));
    return truthOf(head.storeId, rows);
  } finally {
    await database.close();
  }
}

/**
 * The history that these rows hold; they must be in the order of revision and operator id. Fingerprints are computed here, from the
 * definition in the design, not by the service's code.
 */
export function truthOf(storeId: Uint8Array, rows: readonly StoredChange[]): TrueRevision[] {
  let fingerprint = sha256(storeId);
  const truth: TrueRevision[] = [];
  for (const [revision, changes] of Map.groupBy(rows, (row) => row.revision)) {
    const digests = changes.map((change) => sha256(change.record));
    const count = Buffer.alloc(4);
    count.writeUInt32BE(digests.length);
    const number = Buffer.alloc(8);
    number.writeBigUInt64BE(revision);
    fingerprint = sha256(Buffer.concat([Buffer.from("ops1"), fingerprint, number, count, ...digests]));
    const states = changes.map((change): TrueState => {
      const { operator } = fromBinary(ConfigChangeSchema, change.record);
      return { ...stateOf(fromBinary(OperatorSchema, operator)), content: sha256(operator).toString("hex") };
    });
    truth.push({
      position: { revision: Number(revision), fingerprint: fingerprint.toString("hex") },
      changes: states,
    });
  }
  return truth;
}

function sha256(bytes: Uint8Array): Buffer {
  return createHash("sha256").update(bytes).digest();
}
