import { join } from "node:path";
import { clone, create, fromBinary, fromJson, type JsonObject, type Message } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ActorSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { asc } from "drizzle-orm";
import { expect, test } from "vitest";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { configChange } from "../../src/db/schema.ts";
import { composeRevision } from "../../src/history/compose-revision.ts";
import { findOperator } from "../../src/history/find-operator.ts";
import { lockHead } from "../../src/history/head.ts";
import { writeRevision } from "../../src/history/write-revision.ts";
import { seal } from "../../src/operators/seal.ts";
import { startTestService, type TestService } from "../harness/service.ts";

const operatorId = "acme";
const connection: JsonObject = {
  endpoints: { a: { host: "smpp.acme.example", tls: { mode: "TLS_MODE_REQUIRED" } }, b: { host: "b.acme.example" } },
  throughput: { maxSegmentsPerSecond: 50 },
  timers: { missed: 2 },
  coverage: [{ mccmnc: "26201" }, { mccmnc: "26202" }],
  binds: [{ role: "BIND_ROLE_TX", count: 1 }],
};
const operator = (json: JsonObject): Operator => fromJson(OperatorSchema, json);
const main = ({ connections }: Operator) => connections["main"]!;

/** Where the newer version has fields of its own, each in another kind of place. */
const places: [string, (operator: Operator) => Message | undefined][] = [
  ["the operator", (o) => o],
  ["a connection", main],
  ["a sub-message", (o) => main(o).timers],
  ["an entry of a map", (o) => main(o).endpoints["a"]],
  ["a sub-message of that", (o) => main(o).endpoints["a"]?.tls],
  ["an item of a list", (o) => main(o).coverage[1]],
  ["a message in a list", (o) => main(o).binds[0]],
];

/** What this version does between the newer one's changes: each replaces as much as it may. */
const rounds: [string, (service: TestService) => Promise<unknown>][] = [
  [
    "replaces a connection as a whole",
    ({ admin }) =>
      admin.updateOperator({
        operatorId,
        operator: operator({ connections: { main: { ...connection, notes: "replaced" } } }),
        updateMask: { paths: ["connections.main"] },
      }),
  ],
  [
    "replaces everything",
    ({ admin }) =>
      admin.updateOperator({
        operatorId,
        operator: operator({ displayName: "all of it", connections: { main: connection } }),
        updateMask: { paths: ["*"] },
      }),
  ],
  [
    "turns lists round and replaces sub-messages",
    ({ admin }) =>
      admin.updateOperator({
        operatorId,
        operator: operator({
          connections: {
            main: { coverage: [{ mccmnc: "26202" }, { mccmnc: "26201" }], timers: { missed: 3 }, endpoints: {} },
          },
        }),
        updateMask: { paths: ["connections.main.timers"] },
      }),
  ],
  [
    "sets a credential",
    ({ admin }) =>
      admin.setConnectionCredential({ operatorId, connectionId: "main", systemId: "acme01", password: "mixed-1" }),
  ],
  ["changes an admin state", ({ admin }) => admin.changeAdminState({ operatorId, target: AdminState.TESTING })],
  ["disables it", ({ admin }) => admin.changeAdminState({ operatorId, target: AdminState.DISABLED })],
  ["deletes it", ({ admin }) => admin.deleteOperator({ operatorId })],
];

test("two versions that change an operator in turn lose nothing of what only the newer one knows", async () => {
  await using first = await startTestService();
  const { dataDir } = first;
  await first.admin.createOperator({ operatorId, operator: operator({ connections: { main: connection } }) });
  await first.close();

  const read: Operator[] = [];
  for (const [round, [, change]] of rounds.entries()) {
    await asNewerVersion(dataDir, 10 * (round + 1));
    await using service = await startTestService({ dataDir });
    read.push((await service.mesh.getOperator({ operatorId })).operator!);
    await change(service);
    expect(await service.admin.verifyHistory({})).toMatchObject({ valid: true });
    await service.close();
  }

  const records = await operatorsInHistory(dataDir);
  expect(records).toHaveLength(1 + 2 * rounds.length);
  for (const [round, [name]] of rounds.entries()) {
    const after = records[2 * round + 2]!;
    for (const [at, [place, find]] of places.entries()) {
      const mark = 10 * (round + 1) + at;
      expect(markOf(find(read[round]!)), `${place}, as read before this version ${name}`).toBe(mark);
      expect(markOf(findMarked(after, find, mark)), `${place}, after this version ${name}`).toBe(mark);
    }
  }
  console.log(`${rounds.length} alternations, ${rounds.length * places.length} unknown fields kept`);
}, 300_000);

/** One change by a version that has fields of its own, which it sets to new values. */
async function asNewerVersion(dataDir: string, value: number): Promise<void> {
  const database = await openEmbeddedDatabase(join(dataDir, "postgres"));
  try {
    await database.db.transaction(async (tx) => {
      const { position, now } = await lockHead(tx);
      const before = (await findOperator(tx, operatorId))!;
      const edited = clone(OperatorSchema, before);
      edited.notes = `by the newer version: ${value}`;
      for (const [at, [, find]] of places.entries()) {
        // A varint in field 9000, as the newer schema would encode it.
        find(edited)!.$unknown = [{ no: 9000, wireType: 0, data: new Uint8Array([value + at]) }];
      }
      const after = seal(edited, now);
      const actor = create(ActorSchema, { principal: "newer" });
      const circumstances = { actor, reason: "", commitTime: now };
      const change = { kind: ChangeKind.UPDATED, before, after, diff: [] };
      await writeRevision(tx, composeRevision(position, [change], circumstances), now);
    });
  } finally {
    await database.close();
  }
}

/** The operator as each revision left it. */
async function operatorsInHistory(dataDir: string): Promise<Operator[]> {
  const database = await openEmbeddedDatabase(join(dataDir, "postgres"));
  try {
    const rows = await database.db.select().from(configChange).orderBy(asc(configChange.revision));
    return rows.map(({ record }) => fromBinary(OperatorSchema, fromBinary(ConfigChangeSchema, record).operator));
  } finally {
    await database.close();
  }
}

function markOf(message: Message | undefined): number | undefined {
  return message?.$unknown?.find(({ no }) => no === 9000)?.data[0];
}

/** The message at the place; a list's item wherever in the list it is now. */
function findMarked(
  after: Operator,
  find: (operator: Operator) => Message | undefined,
  mark: number,
): Message | undefined {
  return main(after).coverage.find((item) => markOf(item) === mark) ?? find(after);
}
