import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { TokenSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { beforeEach, describe, expect, test } from "vitest";
import { Fleet } from "../../src/fleet/fleet.ts";
import { nodeStatuses } from "../../src/fleet/messages.ts";
import { revisionsBehind } from "../../src/fleet/revisions-behind.ts";

type ReportInit = MessageInitShape<typeof ReportNodeStatusRequestSchema>;
const store = new Uint8Array(16).fill(1);
const at = (revision: bigint, print = Number(revision)) => ({
  store,
  revision,
  fingerprint: new Uint8Array(32).fill(print),
});
const token = (revision: bigint, print?: number) => create(TokenSchema, at(revision, print));

let now = 0;
let fleet: Fleet;
beforeEach(() => {
  now = 1_000_000;
  fleet = new Fleet(() => new Date(now));
});

const report = (init: ReportInit, namespace = "smpp-connector", applied = token(1n)) =>
  fleet.report(namespace, create(ReportNodeStatusRequestSchema, { node: "a", epoch: 1n, ...init }), applied);
const names = (): string[] => fleet.nodes().map(({ namespace, node }) => `${namespace}/${node}`);
const shown = (server = at(1n)) => nodeStatuses(fleet.nodes(), server, new Date(now));

describe("a report", () => {
  test("replaces the node's last one", () => {
    report({ maxBinds: 1 });
    report({ maxBinds: 2 });
    expect(shown().map(({ maxBinds }) => maxBinds)).toEqual([2]);
  });

  test("of an earlier run is ignored, one of a later run counts", () => {
    report({ epoch: 5n });
    expect(report({ epoch: 4n })).toBe("IGNORED");
    expect(report({ epoch: 6n })).toBe("ACCEPTED");
    expect(fleet.nodes().map(({ epoch }) => epoch)).toEqual([6n]);
  });

  test("of an earlier epoch counts once the node was silent for a minute: its clock was set back", () => {
    report({ epoch: 5n });
    now += 60_001;
    expect(report({ epoch: 4n })).toBe("ACCEPTED");
  });

  test("of the same name in another namespace is another node's", () => {
    report({ epoch: 5n });
    report({ epoch: 1n }, "routing-engine");
    expect(names()).toEqual(["routing-engine/a", "smpp-connector/a"]);
  });

  test("with names that every object has is kept like any other", () => {
    report({ node: "constructor", labels: { constructor: "x", "to-string": "y" } });
    expect(shown()[0]?.labels).toEqual({ constructor: "x", "to-string": "y" });
    expect(names()).toEqual(["smpp-connector/constructor"]);
  });
});

describe("a node", () => {
  test("that says it leaves is gone at once, and a belated report doesn't bring it back", () => {
    report({ epoch: 5n });
    report({ epoch: 5n, leaving: true });
    expect(names()).toEqual([]);
    expect(report({ epoch: 5n })).toBe("IGNORED");
    expect(names()).toEqual([]);
    expect(report({ epoch: 6n })).toBe("ACCEPTED");
    expect(names()).toHaveLength(1);
  });

  test("that is silent for a minute is gone", () => {
    report({});
    now += 60_000;
    expect(names()).toHaveLength(1);
    now += 1;
    expect(names()).toEqual([]);
    fleet.forgetSilent();
    expect(fleet.unsaved()).toEqual([]);
  });

  test("is listed by name, then namespace", () => {
    for (const node of ["b", "a-1", "a"]) report({ node });
    report({ node: "a" }, "routing-engine");
    expect(names()).toEqual(["routing-engine/a", "smpp-connector/a", "smpp-connector/a-1", "smpp-connector/b"]);
  });

  test("shows how long it is silent and what it refused", () => {
    report({ rejected: [{ operatorId: "acme", connectionId: "main", error: "no route to the egress" }] });
    now += 2_500;
    expect(shown()[0]).toMatchObject({
      silentFor: { seconds: 2n, nanos: 500_000_000 },
      rejected: [{ error: "no route to the egress" }],
    });
  });
});

describe("the distance of a node", () => {
  test.each([
    ["has applied nothing", undefined, 7],
    ["is three behind", token(4n), 3],
    ["is up to date", token(7n), 0],
    ["is ahead", token(9n), 0],
    ["is at this revision of another history", token(7n, 99), 7],
  ])("that %s", (_, applied, behind) => {
    expect(revisionsBehind(applied, at(7n))).toBe(behind);
  });

  test("never exceeds what the message can hold", () => {
    expect(revisionsBehind(undefined, at(2n ** 40n, 1))).toBe(0xffff_ffff);
  });
});

describe("the fleet", () => {
  test("keeps a thousand nodes, and makes room when one fell silent", () => {
    for (let index = 0; index < 1_000; index++) report({ node: `n${index}` });
    expect(report({ node: "one-more" })).toBe("FULL");
    expect(report({ node: "n5", epoch: 2n })).toBe("ACCEPTED");
    now += 60_001;
    expect(report({ node: "one-more" })).toBe("ACCEPTED");
    expect(names()).toEqual(["smpp-connector/one-more"]);
  });

  test("keeps reports without their binds once they take 32 MiB, and whole ones again when there is room", () => {
    const detail = "x".repeat(500);
    const binds = Array.from({ length: 64 }, (_, index) => ({ role: 1, index, detail }));
    const connections = Array.from({ length: 260 }, () => ({ operatorId: "acme", connectionId: "main", binds }));
    const outcomes = [1, 2, 3, 4, 5].map((n) => report({ node: `n${n}`, connections }));
    expect(outcomes).toEqual(["ACCEPTED", "ACCEPTED", "ACCEPTED", "CUT", "CUT"]);
    report({ node: "n1", connections: [] });
    expect(report({ node: "n4", connections })).toBe("ACCEPTED");
    expect(names()).toHaveLength(5);
  });

  test("is shown within 3 MiB, every node of it", () => {
    const rejected = Array.from({ length: 1_000 }, () => ({ operatorId: "acme", error: "e".repeat(500) }));
    const connections = Array.from({ length: 2_000 }, () => ({ operatorId: "acme", operatorUid: "u".repeat(300) }));
    for (let index = 0; index < 20; index++) report({ node: `n${index}`, rejected, connections });
    const nodes = shown();
    expect(nodes).toHaveLength(20);
    expect(nodes[0]?.connections).toHaveLength(2_000);
    expect(nodes.at(-1)).toMatchObject({ connections: [], rejected: [] });
    expect(JSON.stringify(nodes, (_, value: unknown) => (typeof value === "bigint" ? 0 : value)).length).toBeLessThan(
      4e6,
    );
  });

  test("is summed up for the metrics", () => {
    const rejected = [{ operatorId: "acme" }, { operatorId: "beta" }];
    report({ node: "a" }, "smpp-connector", token(5n));
    report({ node: "b", rejected }, "smpp-connector", token(2n));
    report({ node: "gone", rejected, leaving: true });
    expect(fleet.summary(at(7n))).toEqual({ nodes: 2, maxRevisionsBehind: 5, rejectedConnections: 2 });
  });
});
