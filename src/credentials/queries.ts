import type { Timestamp } from "@bufbuild/protobuf/wkt";
import {
  CredentialState,
  CredentialStateSchema,
  RotationModeSchema,
  type RotationMode,
} from "@operator-management/contract/ops/v1/credential_pb.js";
import { and, desc, eq, max } from "drizzle-orm";
import type { Database, Transaction } from "../db/db.ts";
import { credential } from "../db/schema.ts";

/** A version's row: where its secret is, never the secret. */
export type CredentialRow = typeof credential.$inferSelect;

/** How a state is stored: its short name. */
export function stateText(state: CredentialState): string {
  return CredentialStateSchema.value[state]?.localName ?? String(state);
}

/** The number that the connection's next version gets. Under the head lock: else two callers get the same. */
export async function nextVersion(tx: Transaction, operatorUid: string, connectionId: string): Promise<number> {
  const [row] = await tx
    .select({ version: max(credential.version) })
    .from(credential)
    .where(of(operatorUid, connectionId));
  return (row?.version ?? 0) + 1;
}

/**
 * Makes the version, which is in state `from`, the connection's ACTIVE one, and the one before SUPERSEDED. False, and nothing may be
 * committed, if it is not in that state: the sweep has given up a STAGED one.
 */
export async function activate(
  tx: Transaction,
  row: Pick<CredentialRow, "id" | "operatorUid" | "connectionId">,
  from: CredentialState.STAGED | CredentialState.PENDING,
  now: Timestamp,
): Promise<boolean> {
  const active = stateText(CredentialState.ACTIVE);
  await tx
    .update(credential)
    .set({ state: stateText(CredentialState.SUPERSEDED), stateTime: now })
    .where(and(of(row.operatorUid, row.connectionId), eq(credential.state, active)));
  return moveState(tx, row.id, from, { state: CredentialState.ACTIVE, now });
}

/** Moves a version from one state to another. False if it is not in the first. */
export async function moveState(
  tx: Transaction,
  id: string,
  from: CredentialState,
  to: { readonly state: CredentialState; readonly now: Timestamp; readonly mode?: RotationMode },
): Promise<boolean> {
  const mode = to.mode === undefined ? {} : { mode: RotationModeSchema.value[to.mode]?.localName ?? String(to.mode) };
  const moved = await tx
    .update(credential)
    .set({ state: stateText(to.state), stateTime: to.now, ...mode })
    .where(and(eq(credential.id, id), eq(credential.state, stateText(from))))
    .returning({ id: credential.id });
  return moved.length === 1;
}

/** A version of the connection; undefined if it has none of that id. */
export async function findVersion(
  reader: Pick<Database, "select">,
  operatorUid: string,
  connectionId: string,
  id: string,
): Promise<CredentialRow | undefined> {
  const [row] = await reader
    .select()
    .from(credential)
    .where(and(of(operatorUid, connectionId), eq(credential.id, id)));
  return row;
}

/** A connection's versions, newest first. */
export async function latestVersions(
  reader: Pick<Database, "select">,
  operatorUid: string,
  connectionId: string,
  limit: number,
): Promise<CredentialRow[]> {
  return reader
    .select()
    .from(credential)
    .where(of(operatorUid, connectionId))
    .orderBy(desc(credential.version))
    .limit(limit);
}

function of(operatorUid: string, connectionId: string) {
  return and(eq(credential.operatorUid, operatorUid), eq(credential.connectionId, connectionId));
}
