import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  BatchGetConnectionCredentialsResponseSchema,
  ConnectionSecretSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { describe, expect, it } from "vitest";
import { diffMessages } from "../src/field-diff.ts";

type OperatorInit = MessageInitShape<typeof OperatorSchema>;

function changes(before: OperatorInit, after: OperatorInit): unknown[] {
  return diffMessages(OperatorSchema, create(OperatorSchema, before), create(OperatorSchema, after)).map(
    ({ path, oldValue, newValue, rebind }) => [path, oldValue, newValue, rebind],
  );
}

const connection = (
  init: NonNullable<OperatorInit["connections"]>[string],
): Pick<OperatorInit, "connections"> & object => ({ connections: { main: init } });

describe("the difference of two operators", () => {
  it("is empty for equal ones", () => {
    const same: OperatorInit = { id: "acme", labels: { a: "1" }, connections: { main: { weight: 5 } } };
    expect(changes(same, same)).toEqual([]);
  });

  it("names scalars, optional zeros, enums and times with their values as JSON", () => {
    expect(
      changes(
        { displayName: "a", kind: 1, connections: { main: { weight: 5, vendorHoldTime: { seconds: 120n } } } },
        { displayName: 'b"', kind: 2, connections: { main: { weight: 0, vendorHoldTime: { seconds: 60n } } } },
      ),
    ).toEqual([
      ["display_name", '"a"', '"b\\""', false],
      ["kind", '"OPERATOR_KIND_MNO"', '"OPERATOR_KIND_AGGREGATOR"', false],
      ["connections.main.vendor_hold_time", '"120s"', '"60s"', false],
      ["connections.main.weight", "5", "0", false],
    ]);
  });

  it("takes a list as one value and a map by its entries, in the order of their keys", () => {
    expect(
      changes(
        { countries: ["DE"], labels: { b: "1", a: "1" } },
        { countries: ["DE", "FR"], labels: { c: "2", a: "2" } },
      ),
    ).toEqual([
      ["countries", '["DE"]', '["DE","FR"]', false],
      ["labels.a", '"1"', '"2"', false],
      ["labels.b", '"1"', "", false],
      ["labels.c", "", '"2"', false],
    ]);
  });

  it("takes a connection or a sub-message that comes or goes as one value", () => {
    expect(changes({}, connection({ weight: 3 }))).toEqual([["connections.main", "", '{"weight":3}', false]]);
    expect(changes(connection({}), connection({ throughput: { maxSegmentsPerSecond: 5 } }))).toEqual([
      ["connections.main.throughput", "", '{"maxSegmentsPerSecond":5}', false],
    ]);
  });

  it("marks what needs a re-bind, from the field or from the one around it", () => {
    expect(
      changes(
        connection({ systemId: "a", nodeSelector: {}, throughput: { maxSegmentsPerSecond: 5 } }),
        connection({ systemId: "b", nodeSelector: { egress: "x" }, throughput: { maxSegmentsPerSecond: 6 } }),
      ),
    ).toEqual([
      ["connections.main.system_id", '"a"', '"b"', true],
      ["connections.main.node_selector.egress", "", '"x"', true],
      ["connections.main.throughput.max_segments_per_second", "5", "6", false],
    ]);
  });

  it("lets the fields of an endpoint decide by themselves, but not its coming and going", () => {
    const before = connection({
      endpoints: { a: { host: "one", priority: 1, tls: { serverName: "x" } }, b: { host: "two" } },
    });
    const after = connection({
      endpoints: { a: { host: "one", priority: 2, tls: { serverName: "y" } }, c: { host: "two" } },
    });
    expect(changes(before, after)).toEqual([
      ["connections.main.endpoints.a.priority", "1", "2", false],
      ["connections.main.endpoints.a.tls.server_name", '"x"', '"y"', true],
      ["connections.main.endpoints.b", '{"host":"two"}', "", true],
      ["connections.main.endpoints.c", "", '{"host":"two"}', true],
    ]);
  });

  it("cuts a long value at 1,024 characters", () => {
    const [change] = diffMessages(
      OperatorSchema,
      create(OperatorSchema, {}),
      create(OperatorSchema, { notes: "🙂".repeat(3000) }),
    );
    expect([...(change?.newValue ?? "")]).toHaveLength(1024);
    expect(change?.newValue).toMatch(/🙂…$/u);
  });

  it("says nothing of secrets, at any depth", () => {
    const secret = (password: string) => create(ConnectionSecretSchema, { credentialId: "c", password });
    expect(diffMessages(ConnectionSecretSchema, secret("old"), secret("new"))).toEqual([]);

    const reply = (password: string, systemId: string) =>
      create(BatchGetConnectionCredentialsResponseSchema, {
        results: [{ result: { case: "secret", value: { systemId, password } } }],
      });
    const schema = BatchGetConnectionCredentialsResponseSchema;
    expect(diffMessages(schema, reply("old", "a"), reply("new", "a"))).toEqual([]);
    const [change] = diffMessages(schema, reply("old-pw", "a"), reply("new-pw", "b"));
    expect(change?.oldValue).toBe('[{"secret":{"systemId":"a"}}]');
    expect(change?.newValue).toBe('[{"secret":{"systemId":"b"}}]');
  });

  it("leaves the values out when only the paths are wanted", () => {
    const options = { values: false };
    expect(
      diffMessages(OperatorSchema, create(OperatorSchema), create(OperatorSchema, { notes: "n" }), options),
    ).toMatchObject([{ path: "notes", oldValue: "", newValue: "" }]);
  });
});
