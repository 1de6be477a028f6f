import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { CredentialState, CredentialStateSchema } from "@operator-management/contract/ops/v1/credential_pb.js";
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
 * Makes the STAGED version the connection's ACTIVE one, and the one before SUPERSEDED. False, and nothing may be committed, if it is
 * no longer STAGED: the sweep has given it up.
 */
export async function activate(tx: Transaction, row: CredentialRow, now: Timestamp): Promise<boolean> {
  const [staged, active] = [stateText(CredentialState.STAGED), stateText(CredentialState.ACTIVE)];
  await tx
    .update(credential)
    .set({ state: stateText(CredentialState.SUPERSEDED), stateTime: now })
    .where(and(of(row.operatorUid, row.connectionId), eq(credential.state, active)));
  const activated = await tx
    .update(credential)
    .set({ state: active, stateTime: now })
    .where(and(eq(credential.id, row.id), eq(credential.state, staged)))
    .returning({ id: credential.id });
  return activated.length === 1;
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
