import { randomUUID } from "node:crypto";
import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  SetConnectionCredentialResponseSchema,
  type SetConnectionCredentialRequest,
  type SetConnectionCredentialResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { ConnectionSecretSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { Database } from "../db/db.ts";
import { credential } from "../db/schema.ts";
import type { ChangeRequest, Decision, History, Snapshot } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { lockHead } from "../history/head.ts";
import { openRequestLog } from "../history/request-log.ts";
import { diffOperators } from "../operators/diff.ts";
import { requireLiveOperator } from "../operators/require-operator.ts";
import { seal } from "../operators/seal.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { opsError } from "../rpc/errors.ts";
import { withActiveCredential } from "./active-credential.ts";
import { certificateExpiry } from "./client-certificate.ts";
import { credentialVersion } from "./messages.ts";
import { activate, nextVersion, stateText, type CredentialRow } from "./queries.ts";
import { secretPath } from "./secret-path.ts";
import { typedSecretStoreError } from "./secret-store-error.ts";
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
  const expireTime = request.clientCertificate && certificateExpiry(request.clientCertificate);
  const now = timestampFromDate(deps.now());
  if (call.validateOnly) {
    const unstored = rowOf(request, call, { operatorUid: "", version: 0, expireTime, now });
    return deps.history.change(call, SetConnectionCredentialResponseSchema, (snapshot) =>
      decide(request, unstored, snapshot),
    );
  }
  const staged = await stage(deps.db, request, call, { expireTime, now });
  if ("reply" in staged) return staged.reply;
  await storeSecret(deps.secrets, request, staged.row, call.signal);
  return deps.history.change(call, SetConnectionCredentialResponseSchema, (snapshot) =>
    decide(request, staged.row, snapshot),
  );
}

/** The row of a new version, or the reply that this request has had already. A call that can't succeed leaves nothing behind. */
async function stage(
  db: Database,
  request: SetConnectionCredentialRequest,
  call: ChangeRequest,
  made: { readonly expireTime: Timestamp | undefined; readonly now: Timestamp },
): Promise<{ readonly row: CredentialRow } | { readonly reply: SetConnectionCredentialResponse }> {
  try {
    return await db.transaction(async (tx) => {
      const head = await lockHead(tx);
      const reply = await openRequestLog(tx, call, head.now)?.findReply();
      if (reply !== undefined) return { reply: fromBinary(SetConnectionCredentialResponseSchema, reply) };
      const operator = requireLiveOperator(await findOperator(tx, request.operatorId), request.operatorId);
      const version = await nextVersion(tx, operator.uid, request.connectionId);
      const row = rowOf(request, call, { ...made, operatorUid: operator.uid, version });
      withActiveCredential(operator, request.connectionId, credentialVersion(row)); // for its errors
      await tx.insert(credential).values(row);
      return { row };
    });
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

async function storeSecret(
  secrets: Pick<SecretStore, "put">,
  request: SetConnectionCredentialRequest,
  row: CredentialRow,
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { systemId, password, clientCertificate } = request;
  const secret = create(ConnectionSecretSchema, {
    credentialId: row.id,
    systemId,
    password,
    ...(clientCertificate && { clientCertificate }),
  });
  try {
    await secrets.put(row.path, secret, signal);
  } catch (error) {
    throw typedSecretStoreError(error);
  }
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
      if (before.uid === row.operatorUid && (await activate(tx, row, now))) return;
      throw opsError(ErrorReason.DEADLINE, "storing the credential took too long and was given up; call again");
    },
    reply: (token) =>
      create(SetConnectionCredentialResponseSchema, {
        ...(token !== "" && { credential: version }), // nothing is stored with validate_only
        token,
        warnings: credentialWarnings(request, row.clientCertificateExpireTime ?? undefined, now),
      }),
  };
}

function rowOf(
  request: SetConnectionCredentialRequest,
  call: ChangeRequest,
  made: {
    readonly operatorUid: string;
    readonly version: number;
    readonly expireTime: Timestamp | undefined;
    readonly now: Timestamp;
  },
): CredentialRow {
  const { operatorId, connectionId, systemId, requestId } = request;
  const { operatorUid, version, expireTime, now } = made;
  const id = randomUUID();
  return {
    id,
    operatorUid,
    connectionId,
    version,
    state: stateText(CredentialState.STAGED),
    path: secretPath({ operatorId, operatorUid, connectionId, credentialId: id }),
    systemId,
    mode: null,
    createTime: now,
    stateTime: now,
    actor: call.caller.actor.principal,
    requestId,
    clientCertificateExpireTime: expireTime ?? null,
    secretDeleteTime: null,
    secretDestroyTime: null,
  };
}
