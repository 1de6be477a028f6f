import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { and, eq, inArray } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { credential } from "../db/schema.ts";
import { stateText } from "./queries.ts";

/**
 * Supersedes the credentials of connections that are removed, in the transaction that removes them: a connection created later under
 * the same id inherits nothing, and the sweep takes the secrets after their grace.
 */
export async function retireCredentials(
  tx: Transaction,
  operatorUid: string,
  connectionIds: readonly string[],
  now: Timestamp,
): Promise<void> {
  if (connectionIds.length === 0) return;
  const inUse = [CredentialState.ACTIVE, CredentialState.PENDING].map(stateText);
  await tx
    .update(credential)
    .set({ state: stateText(CredentialState.SUPERSEDED), stateTime: now })
    .where(
      and(
        eq(credential.operatorUid, operatorUid),
        inArray(credential.connectionId, [...connectionIds]),
        inArray(credential.state, inUse),
      ),
    );
}
