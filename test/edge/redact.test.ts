import { create } from "@bufbuild/protobuf";
import { StatusSchema } from "@operator-management/contract/google/rpc/status_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { SetConnectionCredentialRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { BatchGetConnectionCredentialsResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { pino } from "pino";
import { expect, test } from "vitest";
import { redacted, safeLogging } from "../../src/rpc/redact.ts";

const request = create(SetConnectionCredentialRequestSchema, {
  operatorId: "acme",
  systemId: "acme1",
  password: "hunter2",
  clientCertificate: { chainPem: "chain", keyPem: "key" },
});

test("a secret field is left out, at any depth, and the rest stays readable", () => {
  expect(redacted(request)).toEqual({ operator_id: "acme", system_id: "acme1" });
  const batch = create(BatchGetConnectionCredentialsResponseSchema, {
    results: [{ result: { case: "secret", value: { credentialId: "c1", password: "hunter2" } } }],
  });
  expect(redacted(batch)).toEqual({ results: [{ secret: { credential_id: "c1" } }] });
  const operator = create(OperatorSchema, {
    id: "acme",
    labels: { a: "b" },
    connections: { main: { vendorHoldTime: { seconds: 120n } } },
    createTime: { seconds: 0n },
  });
  expect(redacted(operator)).toEqual({
    id: "acme",
    labels: { a: "b" },
    connections: { main: { vendor_hold_time: "120s" } },
    create_time: "1970-01-01T00:00:00Z",
  });
});

test("a message that JSON can't say, or that the contract doesn't know, breaks no log line", () => {
  expect(redacted(create(OperatorSchema, { createTime: { seconds: 10n ** 15n } }))).toEqual({
    create_time: "out of range",
  });
  expect(redacted(create(StatusSchema, { message: "x" }))).toEqual({ "@type": "google.rpc.Status" });
});

test("a password can't be logged by accident: as a message, below one, or hung on an error", () => {
  const lines: string[] = [];
  const logger = pino({ ...safeLogging }, { write: (line) => void lines.push(line) });
  const error = Object.assign(
    new Error("the call failed", { cause: Object.assign(new Error("why"), { config: "hunter2" }) }),
    {
      code: "E1",
      request,
      config: { headers: { token: "hunter2" } },
    },
  );
  logger.info({ request, nested: { list: [request] }, err: error, error }, "a line");
  logger.info(request, "as the whole object");
  logger.error(error, "an error alone");
  expect(lines).toHaveLength(3);
  expect(lines.join("")).not.toContain("hunter2");
  expect(JSON.parse(lines[0] ?? "")).toMatchObject({
    request: { operator_id: "acme" },
    nested: { list: [{ operator_id: "acme" }] },
    err: { type: "Error", message: "the call failed", code: "E1", cause: { message: "why" } },
  });
  expect(JSON.parse(lines[2] ?? "")).toMatchObject({ err: { message: "the call failed" } });
});
