import { create, fromJson } from "@bufbuild/protobuf";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  SetConnectionCredentialRequestSchema,
  UpdateOperatorRequestSchema,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { expect, test } from "vitest";
import { violationsOf } from "../../src/rpc/validate.ts";

test("every broken rule is told with its path and what to do", () => {
  const operator = fromJson(OperatorSchema, {
    id: "A b",
    displayName: "x".repeat(200),
    labels: { "Bad Key": "v" },
    countries: ["DE", "de"],
    connections: {
      main: {
        endpoints: { a: { host: "", port: 99_999 } },
        throughput: { maxSegmentsPerSecond: 0.01, window: 2000 },
        coverage: [{ any: true }, { mccmnc: "12" }, {}],
      },
    },
  });
  const found = violationsOf(OperatorSchema, operator).map(({ field, description }) => `${field}: ${description}`);
  expect(found).toEqual(
    expect.arrayContaining([
      "id: does not match the pattern `^[a-z][a-z0-9-]{1,47}$`",
      "display_name: must be at most 120 characters",
      expect.stringMatching(/^labels\.`Bad Key`: does not match the pattern/) as string,
      "countries[1]: does not match the pattern `^[A-Z]{2}$`",
      "connections.main.endpoints.a.host: is required",
      "connections.main.endpoints.a.port: 99999 is above 65535 (1 to 65535)",
      "connections.main.throughput.max_segments_per_second: 0.01 is below 0.1 (0.1 to 10000)",
      "connections.main.throughput.window: 2000 is above 1000 (1 to 1000)",
      expect.stringMatching(/^connections\.main\.coverage\[1\]\.mccmnc: does not match/) as string,
      expect.stringMatching(/^connections\.main\.coverage\[2\]: set one of mccmnc, /) as string,
    ]),
  );
});

test("no text is quoted, because it may be a password in the wrong field", () => {
  const request = create(SetConnectionCredentialRequestSchema, {
    operatorId: "acme",
    connectionId: "main",
    systemId: "hunter2 hunter2",
    password: "hunter2\t",
    requestId: "hunter2",
  });
  const found = violationsOf(SetConnectionCredentialRequestSchema, request);
  expect(found.map(({ field }) => field)).toEqual(["system_id", "password", "request_id"]);
  expect(JSON.stringify(found)).not.toContain("hunter2");
});

test("what the contract leaves to a later check is left alone", () => {
  const request = create(UpdateOperatorRequestSchema, { operatorId: "acme", operator: { id: "A b" } });
  expect(violationsOf(UpdateOperatorRequestSchema, request)).toEqual([]);
});

test("2,000 coverage entries are accepted, 2,001 are not", () => {
  const operator = (count: number) =>
    create(OperatorSchema, {
      id: "acme",
      displayName: "Acme",
      connections: {
        main: {
          coverage: Array.from({ length: count }, (_, index) => ({
            kind: { case: "mccmnc" as const, value: String(200_000 + index) },
          })),
        },
      },
    });
  const fields = (count: number): string[] =>
    violationsOf(OperatorSchema, operator(count))
      .map(({ field }) => field)
      .filter((field) => field.includes("coverage"));
  expect(fields(2_000)).toEqual([]);
  expect(fields(2_001)).toEqual(["connections.main.coverage"]);
});
