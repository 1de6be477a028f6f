import { randomUUID } from "node:crypto";
import { create, fromBinary, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  ConnectionSecretSchema,
  type ClientCertificate,
  type ConnectionSecret,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { SecretStore } from "../backends/secrets/secret-store.ts";
import type { Database, Transaction } from "../db/db.ts";
import { credential } from "../db/schema.ts";
import type { ChangeRequest } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { lockHead } from "../history/head.ts";
import { openRequestLog } from "../history/request-log.ts";
import { requireLiveOperator } from "../operators/require-operator.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { opsError } from "../rpc/errors.ts";
import { nextVersion, stateText, type CredentialRow } from "./queries.ts";
import { secretPath } from "./secret-path.ts";
import { typedSecretStoreError } from "./secret-store-error.ts";

/** Which connection a version is for. */
export interface CredentialTarget {
  readonly operatorId: string;
  readonly connectionId: string;
}

/** What a row says of a version besides its name. */
export interface NewVersion {
  readonly systemId: string;
  readonly expireTime: Timestamp | undefined;
}

/**
 * The first of the three steps in which a version comes about (row, secret, revision; no crash between them can hurt): its STAGED row, or the
 * reply that this request has had already. `check` says what the version is, or throws: a call that can't succeed leaves nothing behind.
 */
export async function stageCredential<D extends DescMessage>(
  db: Database,
  target: CredentialTarget,
  call: ChangeRequest,
  {
    reply: schema,
    now,
    check,
  }: {
    readonly reply: D;
    readonly now: Timestamp;
    readonly check: (operator: Operator, tx: Transaction) => Promise<NewVersion> | NewVersion;
  },
): Promise<{ readonly row: CredentialRow } | { readonly reply: MessageShape<D> }> {
  try {
    return await db.transaction(async (tx) => {
      const head = await lockHead(tx);
      const reply = await openRequestLog(tx, call, head.now)?.findReply();
      if (reply !== undefined) return { reply: fromBinary(schema, reply) };
      const operator = requireLiveOperator(await findOperator(tx, target.operatorId), target.operatorId);
      const made = await check(operator, tx);
      const version = await nextVersion(tx, operator.uid, target.connectionId);
      const row = stagedRow(target, call, { ...made, operatorUid: operator.uid, version, now });
      await tx.insert(credential).values(row);
      return { row };
    });
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

/** A new version's row, not stored. */
export function stagedRow(
  { operatorId, connectionId }: CredentialTarget,
  { caller, requestId }: Pick<ChangeRequest, "caller" | "requestId">,
  made: NewVersion & { readonly operatorUid: string; readonly version: number; readonly now: Timestamp },
): CredentialRow {
  const { operatorUid, version, systemId, expireTime, now } = made;
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
    actor: caller.actor.principal,
    requestId,
    clientCertificateExpireTime: expireTime ?? null,
    secretDeleteTime: null,
    secretDestroyTime: null,
  };
}

/** The second step. @throws VAULT_UNAVAILABLE */
export async function storeSecret(
  secrets: Pick<SecretStore, "put">,
  row: CredentialRow,
  secret: Pick<ConnectionSecret, "password"> & { readonly clientCertificate?: ClientCertificate | undefined },
  signal: AbortSignal = new AbortController().signal,
): Promise<void> {
  const { password, clientCertificate } = secret;
  const { id: credentialId, systemId } = row;
  const stored = create(ConnectionSecretSchema, {
    credentialId,
    systemId,
    password,
    ...(clientCertificate && { clientCertificate }),
  });
  try {
    await secrets.put(row.path, stored, signal);
  } catch (error) {
    throw typedSecretStoreError(error);
  }
}

/** What to throw where the third step finds that the row is no longer STAGED, or belongs to an operator that was purged since. */
export function stagedTooLong(): Error {
  return opsError(ErrorReason.DEADLINE, "storing the credential took too long and was given up; call again");
}
