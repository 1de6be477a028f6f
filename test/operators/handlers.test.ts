import { create, fromBinary, type JsonObject, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, createRouterTransport, type Client } from "@connectrpc/connect";
import { decodeToken } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { ConnectionCredentialSchema } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind, ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  OperatorAdminService,
  type ChangeAdminStateRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { desc } from "drizzle-orm";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { configChange, operator as operatorTable } from "../../src/db/schema.ts";
import { findOperator } from "../../src/history/find-operator.ts";
import { operatorHandlers } from "../../src/operators/handlers.ts";
import { seal } from "../../src/operators/seal.ts";
import { callerKey } from "../../src/rpc/caller.ts";
import { reasonOf } from "../../src/rpc/errors.ts";
import { admin, commit, openTestStore, type TestStore } from "../history/store.ts";
import { later, operatorOf, ready } from "./operators.ts";

const { ENABLED, DISABLED } = AdminState;

let store: TestStore;
let client: Client<typeof OperatorAdminService>;
beforeAll(async () => {
  store = await openTestStore();
  const transport = createRouterTransport((router) => router.service(OperatorAdminService, operatorHandlers(store)), {
    router: {
      interceptors: [
        (next) => (request) => {
          request.contextValues.set(callerKey, admin("ann"));
          return next(request);
        },
      ],
    },
  });
  client = createClient(OperatorAdminService, transport);
});
afterAll(() => store.close());

let serial = 0;
let operatorId = "";
beforeEach(() => {
  serial += 1;
  operatorId = `op-${serial}`;
});

const revisionOf = (token: string): bigint | undefined => decodeToken(token)?.revision;

async function lastChange() {
  const [row] = await store.database.db.select().from(configChange).orderBy(desc(configChange.revision)).limit(1);
  return fromBinary(ConfigChangeSchema, row!.record);
}

/** An ENABLED operator with one ENABLED connection, its credential stored as SetConnectionCredential would. */
async function enabledOperator(id: string, coverage: JsonObject[]): Promise<void> {
  await client.createOperator({ operatorId: id, operator: operatorOf({ connections: { main: ready({ coverage }) } }) });
  const before = (await findOperator(store.database.db, id))!;
  before.connections["main"]!.credential = create(ConnectionCredentialSchema, {
    active: { id: `credential-of-${id}` },
  });
  await commit(store.history, [{ kind: ChangeKind.CREDENTIAL, before, after: seal(before, later), diff: [] }]);
  await move({ operatorId: id, connectionId: "main", target: ENABLED });
  await move({ operatorId: id, target: ENABLED });
}

const move = (request: MessageInitShape<typeof ChangeAdminStateRequestSchema>) => client.changeAdminState(request);
const liveCoverageOf = async (id: string): Promise<string[] | undefined> =>
  (await store.database.db.select().from(operatorTable)).find((row) => row.id === id)?.liveCoverage;

describe("the mutations of operators", () => {
  test("commit one revision each, with kind, reason and diff", async () => {
    const made = await client.createOperator({ operatorId, reason: "first", operator: { displayName: "One" } });
    expect(await lastChange()).toMatchObject({
      operatorId,
      kind: ChangeKind.CREATED,
      reason: "first",
      actor: { principal: "ann" },
    });

    const updated = await client.updateOperator({
      operatorId,
      reason: "second",
      operator: { displayName: "Two" },
      updateMask: { paths: ["display_name"] },
      etag: made.operator!.etag,
    });
    expect(updated.changes).toMatchObject([{ path: "display_name", oldValue: '"One"', newValue: '"Two"' }]);
    expect(await lastChange()).toMatchObject({ kind: ChangeKind.UPDATED, reason: "second", diff: updated.changes });

    const deleted = await client.deleteOperator({ operatorId });
    expect(deleted.operator?.deleteTime).toBeDefined();
    expect(await lastChange()).toMatchObject({ kind: ChangeKind.DELETED });
    const revisions = [made, updated, deleted].map(({ token }) => revisionOf(token)!);
    expect(revisions).toEqual([revisions[0], revisions[0]! + 1n, revisions[0]! + 2n]);
  });

  test("that change nothing make no revision", async () => {
    const made = await client.createOperator({ operatorId, operator: { displayName: "One" } });
    const same = await client.updateOperator({ operatorId, operator: { displayName: "One" } });
    expect(same).toMatchObject({ token: made.token, changes: [], operator: made.operator });
  });

  test("show with validate_only what they would do, and do nothing", async () => {
    const made = await client.createOperator({ operatorId, operator: {} });
    const shown = await client.updateOperator({ operatorId, operator: { notes: "x" }, validateOnly: true });
    expect(shown).toMatchObject({ token: "", operator: { notes: "x" } });
    expect(await findOperator(store.database.db, operatorId)).toEqual(made.operator);
    const unmade = await client.createOperator({ operatorId: `${operatorId}-x`, operator: {}, validateOnly: true });
    expect(unmade.operator?.id).toBe(`${operatorId}-x`);
    expect(await findOperator(store.database.db, `${operatorId}-x`)).toBeUndefined();
  });

  test("let only one of two edits of the same etag through", async () => {
    const { operator } = await client.createOperator({ operatorId, operator: {} });
    const edits = ["a", "b"].map((notes) =>
      client.updateOperator({ operatorId, operator: { notes }, etag: operator!.etag }),
    );
    const outcomes = await Promise.allSettled(edits);
    const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [reasonOf(outcome.reason)] : []));
    expect(failures).toEqual([ErrorReason.ETAG_MISMATCH]);
  });
});

describe("the last route of a network", () => {
  const network = (): string => `999${String(serial).padStart(2, "0")}`;

  test("is kept when two operators are disabled at once: one of them fails", async () => {
    const [one, two] = [`${operatorId}-one`, `${operatorId}-two`];
    for (const id of [one, two]) await enabledOperator(id, [{ mccmnc: network() }]);
    const outcomes = await Promise.allSettled([one, two].map((id) => move({ operatorId: id, target: DISABLED })));
    const failures = outcomes.flatMap((outcome) => (outcome.status === "rejected" ? [reasonOf(outcome.reason)] : []));
    expect(failures).toEqual([ErrorReason.LAST_ROUTE]);
    const left = (await Promise.all([one, two].map(liveCoverageOf))).flat();
    expect(left).toEqual([`mccmnc:${network()}`]);
  });

  test("is taken with force, with a warning", async () => {
    await enabledOperator(operatorId, [{ mccmnc: network() }]);
    await expect(move({ operatorId, connectionId: "main", target: DISABLED })).rejects.toSatisfy(
      (error) => reasonOf(error) === ErrorReason.LAST_ROUTE,
    );
    const { warnings } = await move({ operatorId, connectionId: "main", target: DISABLED, force: true });
    expect(warnings).toMatchObject([{ text: `nobody routes mccmnc:${network()} any more` }]);
    expect(await liveCoverageOf(operatorId)).toEqual([]);
  });

  test("is taken by an update, with a warning", async () => {
    await enabledOperator(operatorId, [{ mccmnc: network() }]);
    const { warnings } = await client.updateOperator({
      operatorId,
      updateMask: { paths: ["connections.main.coverage"] },
    });
    expect(warnings.map(({ text }) => text)).toContain(`nobody routes mccmnc:${network()} any more`);
  });

  test("may be the sum of others' coverage: a hole in one, filled by another", async () => {
    const [one, two] = [`${operatorId}-one`, `${operatorId}-two`];
    const mcc = network().slice(0, 3);
    await enabledOperator(operatorId, [{ mcc }]);
    await enabledOperator(one, [{ mcc }, { mccmnc: network(), deny: true }]);
    await expect(move({ operatorId, target: DISABLED })).rejects.toSatisfy(
      (error) => reasonOf(error) === ErrorReason.LAST_ROUTE,
    );
    await enabledOperator(two, [{ mccmnc: network() }]);
    await expect(move({ operatorId, target: DISABLED })).resolves.toBeDefined();
    for (const id of [one, two]) await move({ operatorId: id, target: DISABLED, force: true });
  });
});
