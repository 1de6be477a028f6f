import { create } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { WarningSchema, type Warning } from "@operator-management/contract/ops/v1/common_pb.js";
import type { SetConnectionCredentialRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";

/** What SMPP 3.4 allows, in characters. */
const SMPP_PASSWORD = 8;
const SMPP_SYSTEM_ID = 15;

/** What is unusual about a credential; nothing of a secret is quoted. */
export function credentialWarnings(
  request: SetConnectionCredentialRequest,
  certificateExpireTime: Timestamp | undefined,
  now: Timestamp,
): Warning[] {
  const warnings: Warning[] = [];
  const warn = (path: string, text: string): void => void warnings.push(create(WarningSchema, { path, text }));
  if (request.systemId.length > SMPP_SYSTEM_ID) {
    warn("system_id", `longer than the ${SMPP_SYSTEM_ID} characters of SMPP 3.4; check that the vendor accepts it`);
  }
  if (request.password.length > SMPP_PASSWORD) {
    warn(
      "password",
      `longer than the ${SMPP_PASSWORD} characters of SMPP 3.4: some vendors cut or refuse it; check what they accept`,
    );
  }
  if (request.password === "") {
    warn("password", "empty: only for vendors that recognise the account by its source address");
  }
  if (certificateExpireTime !== undefined && certificateExpireTime.seconds <= now.seconds) {
    warn("client_certificate.chain_pem", "the certificate has expired; the vendor will refuse it");
  }
  return warnings;
}
