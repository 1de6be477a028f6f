import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { expect, test } from "vitest";
import { BindRecord } from "../src/bind-record.ts";
import type { SmppSession } from "../src/session.ts";

const session = {
  localAddress: "192.0.2.1:40000",
  peerAddress: "192.0.2.2:2775",
  enquireLinks: { missed: 0, answered: 7 },
} as SmppSession;

function boundRecord(): BindRecord {
  const record = new BindRecord({ role: BindRole.TRX, index: 0 });
  record.connecting("a", "credential-1", "etag-1");
  record.binding();
  record.bound(session);
  return record;
}

test("a bind that was lost to unanswered enquire_links says so until it is bound again", () => {
  const record = boundRecord();
  expect(record.status(session).enquireLinksMissed).toBe(0);
  record.ended("no answer to enquire_link", 3);
  record.failed("bind lost");
  expect(record.status(undefined)).toMatchObject({ state: BindState.FAILED, enquireLinksMissed: 3 });
  record.connecting("a", "credential-1", "etag-1");
  expect(record.status(undefined)).toMatchObject({ enquireLinksMissed: 3, detail: "bind lost" });
  record.binding();
  record.bound(session);
  expect(record.status(session)).toMatchObject({ state: BindState.BOUND, enquireLinksMissed: 0, detail: "" });
});

test("what went wrong with another password or other settings is not said of these", () => {
  const record = boundRecord();
  record.failed("refused", 0x0e);
  record.connecting("a", "credential-2", "etag-1");
  const status = record.status(undefined);
  expect(status).toMatchObject({ credentialId: "credential-2", detail: "" });
  expect(status.lastBindStatus).toBeUndefined();
});

test("a refused password is named while another one is tried, but not once the settings are others", () => {
  const record = boundRecord();
  record.refused();
  record.failed("refused", 0x0e);
  record.connecting("a", "credential-2", "etag-1");
  expect(record.status(undefined).rejectedCredentialId).toBe("credential-1");
  record.connecting("a", "credential-2", "etag-2");
  expect(record.status(undefined).rejectedCredentialId).toBe("");
});
