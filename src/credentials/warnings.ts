import { create } from "@bufbuild/protobuf";
import { timestampMs, type Timestamp } from "@bufbuild/protobuf/wkt";
import { rotationWindow } from "@operator-management/client";
import { WarningSchema, type Warning } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { RotateConnectionCredentialRequest } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { isUnbound, stateName } from "../operators/state-rules.ts";

/** What SMPP 3.4 allows, in characters. */
const SMPP_PASSWORD = 8;
const SMPP_SYSTEM_ID = 15;

/** What is unusual about a credential; nothing of a secret is quoted. Without a password: only what can be said without it. */
export function credentialWarnings(
  { systemId, password }: { readonly systemId: string; readonly password?: string },
  certificateExpireTime: Timestamp | undefined,
  now: Timestamp,
): Warning[] {
  const warnings: Warning[] = [];
  const warn = (path: string, text: string): void => void warnings.push(warning(path, text));
  if (systemId.length > SMPP_SYSTEM_ID) {
    warn("system_id", `longer than the ${SMPP_SYSTEM_ID} characters of SMPP 3.4; check that the vendor accepts it`);
  }
  if (password !== undefined && password.length > SMPP_PASSWORD) {
    warn(
      "password",
      `longer than the ${SMPP_PASSWORD} characters of SMPP 3.4: some vendors cut or refuse it; check what they accept`,
    );
  }
  if (password === "") {
    warn("password", "empty: only for vendors that recognise the account by its source address");
  }
  if (certificateExpireTime !== undefined && certificateExpireTime.seconds <= now.seconds) {
    warn("client_certificate.chain_pem", "the certificate has expired; the vendor will refuse it");
  }
  return warnings;
}

/** What is unusual about a rotation. */
export function rotationWarnings(
  { mode, window }: Pick<RotateConnectionCredentialRequest, "mode" | "window">,
  connection: Connection,
  now: Timestamp,
): Warning[] {
  const warnings: Warning[] = [];
  const { credential, effectiveState } = connection;
  if (isUnbound(effectiveState)) {
    const text = `the connection is ${stateName(effectiveState)}: nothing binds, so nothing proves the new version; SetConnectionCredential replaces it at once`;
    warnings.push(warning("connection_id", text));
  }
  if (mode === RotationMode.BOTH_VALID && window !== undefined) {
    warnings.push(warning("window", "has no meaning while both are valid: ignored"));
  }
  if (credential !== undefined && mode === RotationMode.SWITCH_AT) {
    const [, end] = rotationWindow(credential);
    if (end.getTime() <= timestampMs(now)) {
      warnings.push(warning("switch_time", "the window is over already: the version in use is not tried any more"));
    }
  }
  const { active, pending } = credential ?? {};
  if (active !== undefined && pending !== undefined && active.systemId !== pending.systemId) {
    const text = "differs from the one in use: all binds are re-established when the new version is promoted";
    warnings.push(warning("system_id", text));
  }
  return warnings;
}

function warning(path: string, text: string): Warning {
  return create(WarningSchema, { path, text });
}
