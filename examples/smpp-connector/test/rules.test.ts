import { bindErrorClass } from "@operator-management/client";
import { create } from "@bufbuild/protobuf";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindErrorClass, BindErrorSchema } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { expect, test } from "vitest";
import { statusName } from "../src/command-status.ts";
import { endpointsFor } from "../src/endpoints.ts";
import { connection, desired } from "./harness.ts";

test("endpoints are tried by priority, then id, and only those for the role", () => {
  const host = "127.0.0.1";
  const config = connection({
    endpoints: {
      c: { host, priority: 5 },
      b: { host },
      a: { host, port: 2776 },
      receive: { host, priority: 1, roles: [BindRole.RX] },
    },
  });
  expect(endpointsFor(config, BindRole.TX).map(({ id, port }) => [id, port])).toEqual([
    ["c", 2775],
    ["a", 2776],
    ["b", 2775],
  ]);
  expect(endpointsFor(config, BindRole.RX)[0]?.id).toBe("receive");
});

test("a vendor's own meaning of a status beats the built-in one", () => {
  const own = [
    create(BindErrorSchema, { status: "ESME_RBINDFAIL", errorClass: BindErrorClass.AUTH }),
    create(BindErrorSchema, { status: "0x0E", errorClass: BindErrorClass.TEMPORARY }),
  ];
  expect([0x05, 0x0d, 0x0e, 0x0f, 0x999].map((status) => bindErrorClass(status, []))).toEqual([
    BindErrorClass.SLOT_BUSY,
    BindErrorClass.TEMPORARY,
    BindErrorClass.AUTH,
    BindErrorClass.AUTH,
    BindErrorClass.TEMPORARY,
  ]);
  expect([0x0d, 0x0e].map((status) => bindErrorClass(status, own))).toEqual([
    BindErrorClass.AUTH,
    BindErrorClass.TEMPORARY,
  ]);
  expect([0x0e, 0x4ff].map(statusName)).toEqual(["ESME_RINVPASWD 0x0E", "0x4FF"]);
});

test.for<[what: string, config: Parameters<typeof connection>[0], error: string]>([
  ["TLS", { endpoints: { a: { host: "a", tls: { mode: 2 } } } }, "connections.main.endpoints.a.tls.mode: "],
  [
    "a role without an endpoint",
    { endpoints: { a: { host: "a", roles: [BindRole.RX] } }, binds: [{ role: BindRole.TX }] },
    "connections.main.endpoints: none takes TX binds",
  ],
  ["no endpoint", { endpoints: {} }, "connections.main.endpoints: there is none"],
  ["a role of the future", { binds: [{ role: 9 as BindRole }] }, "connections.main.binds: role 9 is not known"],
  ["no credential", { credential: {} }, "connections.main.credential: none is stored"],
])("%s can't be run, and the NACK names the field", ([, config, error]) => {
  expect(desired({ main: connection(config) }).rejected.get("acme-de/main")?.error).toContain(error);
});
