import { create } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ConnectionCredentialSchema } from "@operator-management/contract/ops/v1/credential_pb.js";
import { describe, expect, test } from "vitest";
import { copyOf } from "../../src/operators/canonical.ts";
import { diffOperators } from "../../src/operators/diff.ts";
import { seal } from "../../src/operators/seal.ts";
import { boundOperator, later, ready, storedOperator } from "./operators.ts";

const paths = (changes: { path: string }[]): string[] => changes.map(({ path }) => path);

describe("what history tells of a change", () => {
  const stored = boundOperator({
    labels: { env: "prod" },
    connections: { main: ready({ coverage: [{ any: true }] }) },
  });
  const main = stored.connections["main"]!;

  test("is nothing when only times and the etag differ", () => {
    const touched = seal(stored, later);
    touched.etag = "other";
    touched.adminStateTime = later;
    touched.adminStateReason = "other";
    expect(diffOperators(stored, touched)).toEqual([]);
  });

  test("names fields by their full path, map keys included", () => {
    const changed = copyOf(stored);
    changed.labels = { env: "dev", new: "1" };
    changed.connections["main"]!.throughput!.window = 20;
    changed.connections["main"]!.coverage = [];
    expect(diffOperators(stored, changed)).toMatchObject([
      { path: "labels.env", oldValue: '"prod"', newValue: '"dev"' },
      { path: "labels.new", oldValue: "", newValue: '"1"' },
      { path: "connections.main.throughput.window", oldValue: "10", newValue: "20", rebind: false },
      { path: "connections.main.coverage", oldValue: '[{"any":true}]', newValue: "" },
    ]);
  });

  test("shows states and credential ids", () => {
    const changed = copyOf(stored);
    changed.adminState = AdminState.DISABLED;
    changed.connections["main"]!.credential = create(ConnectionCredentialSchema, {
      active: { ...main.credential!.active!, id: "c2", version: 2 },
    });
    expect(diffOperators(stored, seal(changed, later))).toMatchObject([
      {
        path: "connections.main.effective_state",
        oldValue: '"ADMIN_STATE_ENABLED"',
        newValue: '"ADMIN_STATE_DISABLED"',
      },
      { path: "connections.main.credential.active.id", oldValue: '"credential-of-main"', newValue: '"c2"' },
      { path: "connections.main.credential.active.version" },
      { path: "admin_state", newValue: '"ADMIN_STATE_DISABLED"' },
    ]);
  });

  test("marks a re-bind where the contract does", () => {
    const changed = copyOf(stored);
    changed.connections["main"]!.systemId = "other";
    changed.connections["main"]!.endpoints["a"]!.priority = 1;
    changed.connections["main"]!.endpoints["a"]!.port = 1;
    const marks = Object.fromEntries(diffOperators(stored, changed).map(({ path, rebind }) => [path, rebind]));
    expect(marks).toEqual({
      "connections.main.system_id": true,
      "connections.main.endpoints.a.priority": false,
      "connections.main.endpoints.a.port": true,
    });
  });

  test("compares a new operator with an empty one", () => {
    const created = storedOperator({ displayName: "Acme", connections: { main: ready() } });
    expect(paths(diffOperators(undefined, created))).toEqual([
      "id",
      "display_name",
      "kind",
      "health_policy",
      "connections.main",
      "admin_state",
    ]);
    expect(JSON.stringify(paths(diffOperators(undefined, created)))).not.toMatch(/time|etag|uid/);
  });
});
