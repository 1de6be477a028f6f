import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { encodeToken } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  GetCredentialStatusResponseSchema,
  type GetCredentialStatusRequest,
  type GetCredentialStatusResponse,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { parseToken } from "../catalog/consistency.ts";
import type { Database } from "../db/db.ts";
import { findOperator } from "../history/find-operator.ts";
import { readHead } from "../history/head.ts";
import { requireConnection, requireLiveOperator } from "../operators/require-operator.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { reasonOf } from "../rpc/errors.ts";
import { credentialVersion } from "./messages.ts";
import { latestVersions } from "./queries.ts";

const MAX_VERSIONS = 100;

/** What reading the status needs. */
export interface CredentialStatusDeps {
  readonly db: Database;
  readonly catalog: Pick<Catalog, "get" | "position" | "staleSince" | "waitFor">;
  readonly now: () => Date;
}

/**
 * A connection's versions from the database; also a deleted operator's. While the database is away and the caller didn't ask for a
 * certain freshness, those in use, from the catalog, with `stale_since`.
 */
export async function credentialStatus(
  deps: CredentialStatusDeps,
  request: GetCredentialStatusRequest,
  signal: AbortSignal,
): Promise<GetCredentialStatusResponse> {
  const { case: asked, value } = request.consistency?.requirement ?? { case: undefined };
  if (asked === "atLeastAsFresh") {
    await deps.catalog.waitFor(parseToken(value, "consistency.at_least_as_fresh"), signal);
  }
  try {
    return await fromDatabase(deps.db, request);
  } catch (thrown) {
    const error = typedDatabaseError(thrown);
    const isAway = reasonOf(error) === ErrorReason.DATABASE_UNAVAILABLE;
    if (!isAway || asked === "atLeastAsFresh" || asked === "fullyConsistent") throw error;
    return fromCatalog(deps, request);
  }
}

/** All in one snapshot: the primary's, so that it is as fresh as can be. */
function fromDatabase(
  db: Database,
  { operatorId, connectionId }: GetCredentialStatusRequest,
): Promise<GetCredentialStatusResponse> {
  return db.transaction(
    async (tx) => {
      const { position } = await readHead(tx);
      const operator = (await findOperator(tx, operatorId)) ?? requireLiveOperator(undefined, operatorId);
      requireConnection(operator, connectionId);
      const rows = await latestVersions(tx, operator.uid, connectionId, MAX_VERSIONS);
      return create(GetCredentialStatusResponseSchema, {
        versions: rows.map(credentialVersion),
        token: encodeToken(position),
      });
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

function fromCatalog(
  { catalog, now }: CredentialStatusDeps,
  { operatorId, connectionId }: GetCredentialStatusRequest,
): GetCredentialStatusResponse {
  const operator = requireLiveOperator(catalog.get(operatorId)?.operator, operatorId);
  const { credential } = requireConnection(operator, connectionId);
  return create(GetCredentialStatusResponseSchema, {
    versions: [credential?.pending, credential?.active].filter((version) => version !== undefined),
    token: encodeToken(catalog.position),
    staleSince: timestampFromDate(catalog.staleSince ?? now()),
  });
}
