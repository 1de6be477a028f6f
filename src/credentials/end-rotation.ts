import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { rotationWindow } from "@operator-management/client";
import { timestampMs } from "@bufbuild/protobuf/wkt";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  CredentialState,
  RotationMode,
  type ConnectionCredentialSchema,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import { ChangeKind } from "@operator-management/contract/ops/v1/event_pb.js";
import {
  CancelCredentialRotationResponseSchema,
  PromoteConnectionCredentialResponseSchema,
  type CancelCredentialRotationRequest,
  type CancelCredentialRotationResponse,
  type PromoteConnectionCredentialRequest,
  type PromoteConnectionCredentialResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { Transaction } from "../db/db.ts";
import type { ChangeRequest, Decision, History, Snapshot } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { diffOperators } from "../operators/diff.ts";
import { requireConnection, requireLiveOperator } from "../operators/require-operator.ts";
import { seal } from "../operators/seal.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { opsError } from "../rpc/errors.ts";
import {
  requirePending,
  requireRotation,
  withoutRotation,
  withPromoted,
  withRejected,
  type Rotation,
} from "./pending-credential.ts";
import { activate, moveState } from "./queries.ts";

/** What ending a rotation needs. */
export interface EndRotationDeps {
  readonly history: Pick<History, "change">;
  /** Names of the live nodes that are bound with this credential, of all that any replica of the service has heard. */
  readonly nodesBoundWith: (credentialId: string) => Promise<readonly string[]>;
}

/** Names a version of a connection. */
export interface VersionName {
  readonly operatorId: string;
  readonly connectionId: string;
  readonly credentialId: string;
}

type Ended<R> = (credential: MessageInitShape<typeof ConnectionCredentialSchema>, token: string) => R;

/**
 * Makes the pending version the active one. Under the head lock it is compared with what the caller saw: of two who end a rotation at once
 * the loser gets NO_ROTATION and makes no revision.
 */
export async function promoteCredential(
  history: Pick<History, "change">,
  request: PromoteConnectionCredentialRequest,
  call: ChangeRequest,
): Promise<PromoteConnectionCredentialResponse> {
  return history.change(call, PromoteConnectionCredentialResponseSchema, async (snapshot) => {
    const { operator: before, rotation } = await find(snapshot.tx, request, requirePending);
    const after = withPromoted(before, request.connectionId, rotation);
    const isMoved = (tx: Transaction): Promise<boolean> =>
      activate(tx, rowOf(before, request), CredentialState.PENDING, snapshot.now);
    return ended(request, { before, after, isMoved, now: snapshot.now }, (credential, token) =>
      create(PromoteConnectionCredentialResponseSchema, { credential, token }),
    );
  });
}

/** Withdraws the pending version, unless live nodes are bound with it. A rejected one stays REJECTED: that is what became of it. */
export async function cancelRotation(
  { history, nodesBoundWith }: EndRotationDeps,
  request: CancelCredentialRotationRequest,
  call: ChangeRequest,
): Promise<CancelCredentialRotationResponse> {
  const nodes = request.force ? [] : await boundNodes(nodesBoundWith, request.credentialId);
  return history.change(call, CancelCredentialRotationResponseSchema, async (snapshot) => {
    const { operator: before, rotation } = await find(snapshot.tx, request, requireRotation);
    if (nodes.length > 0) throw inUse(request, nodes);
    const after = withoutRotation(before, request.connectionId, rotation);
    const to = { state: CredentialState.CANCELLED, now: snapshot.now };
    const isMoved = async (tx: Transaction): Promise<boolean> =>
      rotation.pending.state === CredentialState.REJECTED ||
      moveState(tx, request.credentialId, CredentialState.PENDING, to);
    return ended(request, { before, after, isMoved, now: snapshot.now }, (credential, token) =>
      create(CancelCredentialRotationResponseSchema, { credential, token }),
    );
  });
}

/** The vendor refuses the pending version: nobody tries it again. @throws NO_ROTATION also while its window isn't over */
export async function rejectCredential(
  history: Pick<History, "change">,
  request: PromoteConnectionCredentialRequest,
  call: ChangeRequest,
): Promise<PromoteConnectionCredentialResponse> {
  return history.change(call, PromoteConnectionCredentialResponseSchema, async (snapshot) => {
    const { operator: before, rotation } = await find(snapshot.tx, request, requirePending);
    if (timestampMs(snapshot.now) < verdictDue(rotation)) {
      throw opsError(ErrorReason.NO_ROTATION, "a refusal is no verdict yet: the vendor may be late with its switch");
    }
    const after = withRejected(before, request.connectionId, rotation);
    const to = { state: CredentialState.REJECTED, now: snapshot.now };
    const isMoved = (tx: Transaction): Promise<boolean> =>
      moveState(tx, request.credentialId, CredentialState.PENDING, to);
    return ended(request, { before, after, isMoved, now: snapshot.now }, (credential, token) =>
      create(PromoteConnectionCredentialResponseSchema, { credential, token }),
    );
  });
}

/** From when on a refusal of the pending version counts, in milliseconds. */
export function verdictDue(rotation: Rotation): number {
  return rotation.mode === RotationMode.BOTH_VALID ? 0 : rotationWindow(rotation)[1].getTime();
}

async function find(
  tx: Transaction,
  { operatorId, connectionId, credentialId }: VersionName,
  require: (operator: Operator, connectionId: string, credentialId: string) => Rotation,
): Promise<{ readonly operator: Operator; readonly rotation: Rotation }> {
  const operator = requireLiveOperator(await findOperator(tx, operatorId), operatorId);
  return { operator, rotation: require(operator, connectionId, credentialId) };
}

function ended<R>(
  { connectionId, credentialId }: VersionName,
  change: {
    readonly before: Operator;
    readonly after: Operator;
    readonly isMoved: (tx: Transaction) => Promise<boolean>;
    readonly now: Snapshot["now"];
  },
  replyWith: Ended<R>,
): Decision<R> {
  const { before, isMoved, now } = change;
  const after = seal(change.after, now);
  const { credential = {} } = requireConnection(after, connectionId);
  return {
    changes: [{ kind: ChangeKind.CREDENTIAL, before, after, diff: diffOperators(before, after) }],
    alsoWrite: async (tx) => {
      if (await isMoved(tx)) return;
      throw new Error(`credential ${credentialId} is pending by its operator's record and not by its row`);
    },
    reply: (token) => replyWith(credential, token),
  };
}

function rowOf({ uid: operatorUid }: Operator, { connectionId, credentialId: id }: VersionName) {
  return { id, operatorUid, connectionId };
}

async function boundNodes(
  nodesBoundWith: EndRotationDeps["nodesBoundWith"],
  credentialId: string,
): Promise<readonly string[]> {
  try {
    return await nodesBoundWith(credentialId);
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

function inUse({ operatorId, connectionId, credentialId }: VersionName, nodes: readonly string[]): Error {
  const named = nodes.slice(0, 10).join(", ");
  const text = `credential ${credentialId} is in use: bound with it: ${named}; promote it, or cancel with force`;
  return opsError(ErrorReason.CREDENTIAL_IN_USE, text, {
    metadata: { operator_id: operatorId, connection_id: connectionId, credential_id: credentialId, nodes: named },
  });
}
