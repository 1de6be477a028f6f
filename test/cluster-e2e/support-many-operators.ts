import { randomUUID } from "node:crypto";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { Actor_Kind, ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import type { ConnectionSchema } from "@operator-management/contract/ops/v1/connection_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  CreateOperatorRequestSchema,
  CreateOperatorResponseSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { pino } from "pino";
import { openClusterDatabase } from "../../src/db/cluster-database.ts";
import { History } from "../../src/history/commit.ts";
import type { OperatorChange } from "../../src/history/compose-revision.ts";
import { copyOf } from "../../src/operators/canonical.ts";
import { withDefaults } from "../../src/operators/defaults.ts";
import { seal } from "../../src/operators/seal.ts";
import type { Postgres } from "../cluster/postgres.ts";

/** Commits whole revisions past the API, as applying files will: the API changes one operator at a time. */
export interface BulkWriter extends AsyncDisposable {
  /** Creates operators `bulk-0` … in revisions of so many each. */
  create(count: number, perRevision: number, coverage: number): Promise<void>;
  /** Changes the names of the first so many of them in one revision. */
  rename(count: number, displayName: string): Promise<void>;
}

export function openBulkWriter(postgres: Postgres): BulkWriter {
  const database = openClusterDatabase({ primary: postgres.serviceUrl, logger: pino({ level: "silent" }) });
  const history = new History({ db: database.db, onCommit: () => undefined });
  const actor = create(ActorSchema, { principal: "bulk", kind: Actor_Kind.ADMIN });
  const written: Operator[] = [];
  const commit = async (changes: readonly OperatorChange[]): Promise<void> => {
    const message = create(CreateOperatorRequestSchema);
    const caller = { actor, roles: new Set<never>(), namespaces: new Set<string>() };
    const call = { caller, method: "CreateOperator", reason: "", requestId: "", message, validateOnly: false };
    await history.change(call, CreateOperatorResponseSchema, () =>
      Promise.resolve({ changes, reply: (token) => create(CreateOperatorResponseSchema, { token }) }),
    );
  };
  const now = timestampFromDate(new Date());
  return {
    create: async (count, perRevision, coverage) => {
      for (let first = 0; first < count; first += perRevision) {
        const operators = Array.from({ length: Math.min(perRevision, count - first) }, (_, index) =>
          seal(bulkOperator(first + index, coverage), now),
        );
        await commit(operators.map((after) => ({ kind: ChangeKind.CREATED, before: undefined, after, diff: [] })));
        written.push(...operators);
      }
    },
    rename: async (count, displayName) => {
      const changes = written.slice(0, count).map((before) => {
        const after = copyOf(before);
        after.displayName = displayName;
        return { kind: ChangeKind.UPDATED, before, after: seal(after, now), diff: [] };
      });
      await commit(changes);
      written.splice(0, changes.length, ...changes.map(({ after }) => after));
    },
    [Symbol.asyncDispose]: () => database.close(),
  };
}

/** As an integrator enters it, with every default filled in as it is stored: two connections that share the coverage. */
function bulkOperator(number: number, coverage: number): Operator {
  const connection = (side: number): MessageInitShape<typeof ConnectionSchema> => ({
    systemId: `account${number}`,
    endpoints: { primary: { host: `smpp${side}.operator-${number}.example` } },
    throughput: { maxSegmentsPerSecond: 50 },
    adminState: AdminState.DRAFT,
    coverage: Array.from({ length: coverage / 2 }, (_, entry) => ({
      kind: { case: "mccmnc" as const, value: String(20_000 + ((number * 7 + side * 101 + entry * 13) % 59_999)) },
    })),
  });
  return withDefaults(
    create(OperatorSchema, {
      id: `bulk-${number}`,
      uid: randomUUID(),
      displayName: `Operator ${number}`,
      countries: ["DE"],
      connections: { a: connection(0), b: connection(1) },
      adminState: AdminState.DRAFT,
    }),
  );
}
