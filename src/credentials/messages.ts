import { create } from "@bufbuild/protobuf";
import {
  CredentialState,
  CredentialStateSchema,
  CredentialVersionSchema,
  type CredentialVersion,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import type { CredentialRow } from "./queries.ts";

/** A version as the API shows it. */
export function credentialVersion(row: CredentialRow): CredentialVersion {
  return create(CredentialVersionSchema, {
    id: row.id,
    version: row.version,
    systemId: row.systemId,
    state: stateOf(row.state),
    createTime: row.createTime,
    hasClientCertificate: row.clientCertificateExpireTime !== null,
    ...(row.clientCertificateExpireTime && { clientCertificateExpireTime: row.clientCertificateExpireTime }),
  });
}

/** A state that a later release stored shows as unspecified. */
function stateOf(text: string): CredentialState {
  return CredentialStateSchema.values.find((value) => value.localName === text)?.number ?? CredentialState.UNSPECIFIED;
}
