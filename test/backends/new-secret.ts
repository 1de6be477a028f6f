import { randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import {
  ConnectionSecretSchema,
  type ConnectionSecret,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";

/** A path that no other test uses. */
export function newPath(): string {
  return `ops/operators/acme/${randomUUID()}/main/${randomUUID()}`;
}

/** A secret with a password that is found nowhere else. */
export function newSecret(password: string = randomUUID()): ConnectionSecret {
  return create(ConnectionSecretSchema, {
    credentialId: randomUUID(),
    systemId: "acme01",
    password,
    clientCertificate: { chainPem: "-----BEGIN CERTIFICATE-----\n…", keyPem: "-----BEGIN PRIVATE KEY-----\n…" },
  });
}
