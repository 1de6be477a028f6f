import { clone, create, type MessageInitShape } from "@bufbuild/protobuf";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  ConnectionCredentialSchema,
  CredentialState,
  RotationMode,
  RotationRebind,
  type ConnectionCredential,
  type CredentialVersion,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { requireConnection } from "../operators/require-operator.ts";
import { opsError } from "../rpc/errors.ts";

/** A rotation that has its pending version, or had it: that one may be REJECTED. */
export type Rotation = ConnectionCredential & { readonly pending: CredentialVersion };

/** How a rotation is to go. */
export type RotationPlan = Pick<
  MessageInitShape<typeof ConnectionCredentialSchema>,
  "mode" | "switchTime" | "window" | "rebind" | "startTime"
>;

/** @throws CONNECTION_NOT_FOUND, ROTATION_IN_PROGRESS; a rejected pending version is no obstacle */
export function requireNoRotation(operator: Operator, connectionId: string): void {
  const { credential } = requireConnection(operator, connectionId);
  if (credential?.pending?.state !== CredentialState.PENDING) return;
  const { id } = credential.pending;
  const text = `connections.${connectionId} is being rotated to credential ${id}; promote or cancel that first`;
  throw opsError(ErrorReason.ROTATION_IN_PROGRESS, text, {
    metadata: { operator_id: operator.id, connection_id: connectionId, credential_id: id },
  });
}

/** The credential to rotate from. @throws CONNECTION_NOT_FOUND, ROTATION_IN_PROGRESS, CREDENTIAL_MISSING */
export function requireRotatable(operator: Operator, connectionId: string): CredentialVersion {
  requireNoRotation(operator, connectionId);
  const active = requireConnection(operator, connectionId).credential?.active;
  if (active !== undefined) return active;
  const subject = `connections.${connectionId}`;
  throw opsError(ErrorReason.CREDENTIAL_MISSING, `${subject} has no credential to rotate from: set its first one`, {
    metadata: { operator_id: operator.id, connection_id: connectionId },
    preconditions: [{ type: "CREDENTIAL", subject, description: "store one with SetConnectionCredential" }],
  });
}

/** The rotation whose pending version is this one. @throws CONNECTION_NOT_FOUND, NO_ROTATION */
export function requireRotation(operator: Operator, connectionId: string, credentialId: string): Rotation {
  const { credential } = requireConnection(operator, connectionId);
  const { pending } = credential ?? {};
  if (credential !== undefined && pending?.id === credentialId) return credential as Rotation;
  const other = pending === undefined ? "no rotation is under way" : `it is being rotated to credential ${pending.id}`;
  throw noRotation(operator, connectionId, credentialId, `credential ${credentialId} is not pending: ${other}`);
}

/** As `requireRotation`, and the vendor has not refused it. */
export function requirePending(operator: Operator, connectionId: string, credentialId: string): Rotation {
  const rotation = requireRotation(operator, connectionId, credentialId);
  if (rotation.pending.state === CredentialState.PENDING) return rotation;
  const text = `credential ${credentialId} was refused by the vendor; rotate to it again with credential_id to have it tried once more`;
  throw noRotation(operator, connectionId, credentialId, text);
}

function noRotation({ id }: Operator, connectionId: string, credentialId: string, text: string): Error {
  return opsError(ErrorReason.NO_ROTATION, `connections.${connectionId}: ${text}`, {
    metadata: { operator_id: id, connection_id: connectionId, credential_id: credentialId },
  });
}

/** The operator with a rotation begun, in place of one that was rejected. */
export function withRotation(
  before: Operator,
  connectionId: string,
  pending: CredentialVersion,
  plan: RotationPlan,
): Operator {
  const { active, rebindOthers } = requireConnection(before, connectionId).credential ?? {};
  return withCredential(before, connectionId, {
    ...(active && { active }),
    pending,
    ...plan,
    rebindOthers: rebindOthers ?? false,
  });
}

/** The operator with its pending version as the active one. */
export function withPromoted(before: Operator, connectionId: string, { pending, mode, rebind }: Rotation): Operator {
  const rebindOthers =
    mode === RotationMode.BOTH_VALID || (mode === RotationMode.SWITCH_AT && rebind === RotationRebind.AT_SWITCH);
  return withActive(before, connectionId, { ...pending, state: CredentialState.ACTIVE }, rebindOthers);
}

/** The operator with this version as the connection's active one, its system_id with it, and no rotation. */
export function withActive(
  before: Operator,
  connectionId: string,
  active: CredentialVersion,
  rebindOthers = false,
): Operator {
  const after = withCredential(before, connectionId, { active, rebindOthers });
  requireConnection(after, connectionId).systemId = active.systemId;
  return after;
}

/** The operator with its pending version refused; how the rotation went stays, for people to see. */
export function withRejected(before: Operator, connectionId: string, rotation: Rotation): Operator {
  const pending = { ...rotation.pending, state: CredentialState.REJECTED };
  return withCredential(before, connectionId, { ...rotation, pending });
}

/** The operator without its rotation. */
export function withoutRotation(before: Operator, connectionId: string, { active, rebindOthers }: Rotation): Operator {
  return withCredential(before, connectionId, { ...(active && { active }), rebindOthers });
}

function withCredential(
  before: Operator,
  connectionId: string,
  credential: MessageInitShape<typeof ConnectionCredentialSchema>,
): Operator {
  const after = clone(OperatorSchema, before);
  requireConnection(after, connectionId).credential = create(ConnectionCredentialSchema, credential);
  return after;
}
