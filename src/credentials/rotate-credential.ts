import { create } from "@bufbuild/protobuf";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState, RotationMode, RotationRebind } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  RotateConnectionCredentialResponseSchema,
  type RotateConnectionCredentialRequest,
  type RotateConnectionCredentialResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { ConnectionSecret } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { Database, Transaction } from "../db/db.ts";
import type { ChangeRequest, Decision, History, Snapshot } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { diffOperators } from "../operators/diff.ts";
import { requireConnection, requireLiveOperator } from "../operators/require-operator.ts";
import { seal } from "../operators/seal.ts";
import { opsError } from "../rpc/errors.ts";
import { certificateExpiry } from "./client-certificate.ts";
import { credentialVersion } from "./messages.ts";
import { requireRotatable, withRotation, type RotationPlan } from "./pending-credential.ts";
import { findVersion, moveState, stateText, type CredentialRow } from "./queries.ts";
import { typedSecretStoreError } from "./secret-store-error.ts";
import { stageCredential, stagedRow, stagedTooLong, storeSecret, type NewVersion } from "./stage-credential.ts";
import { credentialWarnings, rotationWarnings } from "./warnings.ts";

/** What beginning a rotation needs. */
export interface RotateCredentialDeps {
  readonly db: Database;
  readonly history: Pick<History, "change">;
  readonly secrets: Pick<SecretStore, "put" | "get">;
  readonly now: () => Date;
}

const WINDOW = { seconds: 7_200n };
/** Whoever rotates back to one of these takes its secret along, so that the sweep may go on with the old version meanwhile. */
const kept: readonly string[] = [CredentialState.CANCELLED, CredentialState.REJECTED, CredentialState.SUPERSEDED].map(
  stateText,
);

/**
 * Begins a rotation in the same order as `setCredential`: a STAGED row, then the secret, then one revision that makes it PENDING. An earlier
 * version is copied to a new one: ids are pending once, so that neither a late report of the earlier try nor the sweep can meet it.
 */
export async function rotateCredential(
  deps: RotateCredentialDeps,
  request: RotateConnectionCredentialRequest,
  call: ChangeRequest,
): Promise<RotateConnectionCredentialResponse> {
  const { connectionId, clientCertificate } = request;
  const expireTime = clientCertificate && certificateExpiry(clientCertificate);
  const now = timestampFromDate(deps.now());
  const reply = RotateConnectionCredentialResponseSchema;
  let source: CredentialRow | undefined;
  const check = async (operator: Operator, tx: Transaction): Promise<NewVersion> => {
    requireRotatable(operator, connectionId);
    if (request.credentialId === "") return { systemId: request.systemId, expireTime };
    source = await requireKept(tx, operator, request);
    return { systemId: source.systemId, expireTime: source.clientCertificateExpireTime ?? undefined };
  };
  if (call.validateOnly) {
    return deps.history.change(call, reply, async (snapshot) => {
      const operator = requireLiveOperator(await findOperator(snapshot.tx, request.operatorId), request.operatorId);
      const made = await check(operator, snapshot.tx);
      return decide(request, stagedRow(request, call, { ...made, operatorUid: "", version: 0, now }), snapshot);
    });
  }
  const staged = await stageCredential(deps.db, request, call, { reply, now, check });
  if ("reply" in staged) return staged.reply;
  const secret = source === undefined ? request : await readKept(deps.secrets, request, source, call.signal);
  await storeSecret(deps.secrets, staged.row, secret, call.signal);
  return deps.history.change(call, reply, (snapshot) => decide(request, staged.row, snapshot));
}

/** The earlier version, if its secret is still kept. @throws CREDENTIAL_NOT_FOUND */
async function requireKept(
  tx: Transaction,
  operator: Operator,
  request: RotateConnectionCredentialRequest,
): Promise<CredentialRow> {
  const row = await findVersion(tx, operator.uid, request.connectionId, request.credentialId);
  if (row === undefined) throw notKept(request, "is none of this connection");
  if (!kept.includes(row.state)) throw notKept(request, `is ${row.state}; only ${kept.join(", ")} can be rotated to`);
  if (row.secretDeleteTime !== null) throw notKept(request, "is too old: its secret is no longer kept");
  return row;
}

async function readKept(
  secrets: Pick<SecretStore, "get">,
  request: RotateConnectionCredentialRequest,
  { path }: CredentialRow,
  signal: AbortSignal = new AbortController().signal,
): Promise<ConnectionSecret> {
  let secret: ConnectionSecret | undefined;
  try {
    secret = await secrets.get(path, signal);
  } catch (error) {
    throw typedSecretStoreError(error);
  }
  if (secret === undefined) throw notKept(request, "has no secret any more");
  return secret;
}

async function decide(
  request: RotateConnectionCredentialRequest,
  row: CredentialRow,
  { tx, now }: Snapshot,
): Promise<Decision<RotateConnectionCredentialResponse>> {
  const { operatorId, connectionId } = request;
  const before = requireLiveOperator(await findOperator(tx, operatorId), operatorId);
  requireRotatable(before, connectionId);
  const version = credentialVersion({ ...row, state: stateText(CredentialState.PENDING) });
  const after = seal(withRotation(before, connectionId, version, planOf(request, now)), now);
  const connection = requireConnection(after, connectionId);
  const { systemId, password } = request.credentialId === "" ? request : { ...row, password: undefined };
  return {
    changes: [{ kind: ChangeKind.CREDENTIAL, before, after, diff: diffOperators(before, after) }],
    alsoWrite: async (tx) => {
      const to = { state: CredentialState.PENDING, now, mode: request.mode };
      // Another uid: the operator was purged and created anew since; the row belongs to the one that is gone.
      if (before.uid === row.operatorUid && (await moveState(tx, row.id, CredentialState.STAGED, to))) return;
      throw stagedTooLong();
    },
    reply: (token) => {
      const { pending, ...others } = connection.credential ?? {};
      return create(RotateConnectionCredentialResponseSchema, {
        credential: { ...others, ...(token !== "" && pending && { pending }) }, // nothing is stored with validate_only
        token,
        warnings: [
          ...credentialWarnings(
            { systemId, ...(password !== undefined && { password }) },
            row.clientCertificateExpireTime ?? undefined,
            now,
          ),
          ...rotationWarnings(request, connection, now),
        ],
      });
    },
  };
}

/** With what is said by default. */
function planOf(
  { mode, switchTime, window, rebind }: RotateConnectionCredentialRequest,
  startTime: Timestamp,
): RotationPlan {
  if (mode === RotationMode.BOTH_VALID) return { mode, startTime };
  if (mode !== RotationMode.SWITCH_AT) return { mode, window: window ?? WINDOW, startTime };
  const known = rebind === RotationRebind.UNSPECIFIED ? RotationRebind.NONE : rebind;
  return { mode, ...(switchTime && { switchTime }), window: window ?? WINDOW, rebind: known, startTime };
}

function notKept({ operatorId, connectionId, credentialId }: RotateConnectionCredentialRequest, why: string): Error {
  const name = `operators/${operatorId}/connections/${connectionId}/credentials/${credentialId}`;
  return opsError(ErrorReason.CREDENTIAL_NOT_FOUND, `credential_id: ${credentialId} ${why}`, {
    metadata: { operator_id: operatorId, connection_id: connectionId, credential_id: credentialId },
    resource: { type: "ops.v1.CredentialVersion", name },
  });
}
