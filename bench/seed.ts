import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import { openClusterDatabase } from "../src/db/cluster-database.ts";
import type { Database } from "../src/db/db.ts";
import { composeRevision, type OperatorChange } from "../src/history/compose-revision.ts";
import { lockHead } from "../src/history/head.ts";
import { writeRevision } from "../src/history/write-revision.ts";
import { diffOperators } from "../src/operators/diff.ts";
import { operatorId, sampleOperator } from "./sample-operator.ts";

/** Below the 2 MiB that one revision may have. */
const OPERATORS_PER_REVISION = 200;
const REPORTED_EVERY = 10_000;

const actor = create(ActorSchema, { principal: "bench", kind: Actor_Kind.SYSTEM, source: "127.0.0.1" });

/** Adds the sample operators from number `from` up to, not including, `to`: by the service's own functions, many to a revision. */
export async function seed(databaseUrl: string, from: number, to: number, say: (line: string) => void): Promise<void> {
  const logger = { info: () => undefined, warn: console.warn, error: console.error };
  const database = openClusterDatabase({ primary: databaseUrl, logger });
  try {
    for (let first = from; first < to; first += OPERATORS_PER_REVISION) {
      const next = Math.min(first + OPERATORS_PER_REVISION, to);
      await addRevision(database.db, first, next);
      if (next % REPORTED_EVERY === 0 && next < to) say(`${next} operators`);
    }
  } finally {
    await database.close();
  }
}

async function addRevision(db: Database, from: number, to: number): Promise<void> {
  const now = timestampFromDate(new Date());
  const operators = Array.from({ length: to - from }, (_, n) => sampleOperator(from + n, now));
  // One for all: they differ in values only, and comparing is a quarter of the work.
  const diff = operators[0] === undefined ? [] : diffOperators(undefined, operators[0]);
  const changes = operators.map((after): OperatorChange => ({
    kind: ChangeKind.CREATED,
    before: undefined,
    after,
    diff,
  }));
  await db.transaction(async (tx) => {
    const { position, now: commitTime } = await lockHead(tx);
    const reason = `the operators from ${operatorId(from)}`;
    await writeRevision(tx, composeRevision(position, changes, { actor, reason, commitTime }), commitTime);
  });
}
