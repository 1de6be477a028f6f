import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  SetConnectionCredentialResponseSchema,
  type SetConnectionCredentialRequest,
  type SetConnectionCredentialResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { Database } from "../db/db.ts";
import type { ChangeRequest, Decision, History, Snapshot } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { diffOperators } from "../operators/diff.ts";
import { requireLiveOperator } from "../operators/require-operator.ts";
import { seal } from "../operators/seal.ts";
import { requireSettable, withActiveCredential } from "./active-credential.ts";
import { certificateExpiry } from "./client-certificate.ts";
import { credentialVersion } from "./messages.ts";
import { activate, stateText, type CredentialRow } from "./queries.ts";
import { stageCredential, stagedRow, stagedTooLong, storeSecret } from "./stage-credential.ts";
import { credentialWarnings } from "./warnings.ts";

/** What setting a credential needs. */
export interface SetCredentialDeps {
  readonly db: Database;
  readonly history: Pick<History, "change">;
  readonly secrets: Pick<SecretStore, "put">;
  readonly now: () => Date;
}

/**
 * Stores a connection's credential in an order that no crash can hurt: a STAGED row, then the secret at a path of its own, then one
 * revision that makes it ACTIVE. Until that revision is committed nobody may use the secret, and the sweep removes what a crash left;
 * from then on the secret is there. A password that comes with a repeated request id is not looked at: secrets are compared nowhere.
 */
export async function setCredential(
  deps: SetCredentialDeps,
  request: SetConnectionCredentialRequest,
  call: ChangeRequest,
): Promise<SetConnectionCredentialResponse> {
  const { systemId, connectionId } = request;
  const made = { systemId, expireTime: request.clientCertificate && certificateExpiry(request.clientCertificate) };
  const now = timestampFromDate(deps.now());
  const reply = SetConnectionCredentialResponseSchema;
  if (call.validateOnly) {
    const unstored = stagedRow(request, call, { ...made, operatorUid: "", version: 0, now });
    return deps.history.change(call, reply, (snapshot) => decide(request, unstored, snapshot));
  }
  const staged = await stageCredential(deps.db, request, call, {
    reply,
    now,
    check: (operator) => {
      requireSettable(operator, connectionId);
      return made;
    },
  });
  if ("reply" in staged) return staged.reply;
  await storeSecret(deps.secrets, staged.row, request, call.signal);
  return deps.history.change(call, reply, (snapshot) => decide(request, staged.row, snapshot));
}

async function decide(
  request: SetConnectionCredentialRequest,
  row: CredentialRow,
  { tx, now }: Snapshot,
): Promise<Decision<SetConnectionCredentialResponse>> {
  const before = requireLiveOperator(await findOperator(tx, request.operatorId), request.operatorId);
  const version = credentialVersion({ ...row, state: stateText(CredentialState.ACTIVE) });
  const after = seal(withActiveCredential(before, request.connectionId, version), now);
  return {
    changes: [{ kind: ChangeKind.CREDENTIAL, before, after, diff: diffOperators(before, after) }],
    alsoWrite: async (tx) => {
      // Another uid: the operator was purged and created anew since; the row belongs to the one that is gone.
      if (before.uid === row.operatorUid && (await activate(tx, row, CredentialState.STAGED, now))) return;
      throw stagedTooLong();
    },
    reply: (token) =>
      create(SetConnectionCredentialResponseSchema, {
        ...(token !== "" && { credential: version }), // nothing is stored with validate_only
        token,
        warnings: credentialWarnings(request, row.clientCertificateExpireTime ?? undefined, now),
      }),
  };
}
