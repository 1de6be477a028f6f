import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { decodeToken, encodeToken, type Position } from "@operator-management/client";
import { ErrorReason, type Consistency, type Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { fieldInvalid, reasonOf } from "../rpc/errors.ts";
import type { Catalog } from "./catalog.ts";

/** The position that a read is answered at: what is read right after is not older. */
export interface ReadPoint {
  readonly position: Position;
  /** The same, as text. */
  readonly token: string;
  /** Since when the primary can't be reached; undefined while it can. */
  readonly staleSince: Timestamp | undefined;
}

/** What holds when the caller asks for nothing: admins see every acknowledged write, the mesh gets an answer whatever happens. */
export type DefaultConsistency = "fully_consistent" | "minimize_latency";

/**
 * Waits until the catalog is as fresh as asked for. A freshness that nobody asked for is given up while the primary is away, and
 * `staleSince` says so. Throws FIELD_INVALID, TOKEN_FOREIGN, HISTORY_CHANGED, CATALOG_BEHIND, DATABASE_UNAVAILABLE, CATALOG_NOT_LOADED.
 */
export async function readAt(
  catalog: Catalog,
  consistency: Consistency | undefined,
  byDefault: DefaultConsistency,
  signal?: AbortSignal,
): Promise<ReadPoint> {
  const requirement = consistency?.requirement;
  switch (requirement?.case) {
    case "minimizeLatency":
      break;
    case "atLeastAsFresh":
      await catalog.waitFor(parseToken(requirement.value, "consistency.at_least_as_fresh"), signal);
      break;
    case "fullyConsistent":
      await catalog.refresh(signal);
      break;
    case undefined:
      if (byDefault === "fully_consistent") await refreshIfPossible(catalog, signal);
      break;
  }
  return readPoint(catalog);
}

/** Where the catalog is now. */
export function readPoint({ position, staleSince }: Pick<Catalog, "position" | "staleSince">): ReadPoint {
  return {
    position,
    token: encodeToken(position),
    staleSince: staleSince && timestampFromDate(staleSince),
  };
}

/** What a token's text holds. Throws FIELD_INVALID with the field's path. */
export function parseToken(text: string, field: string): Token {
  const token = decodeToken(text);
  if (token !== undefined) return token;
  throw fieldInvalid([{ field, description: "is not a token of this service: send one as it came, or none" }]);
}

async function refreshIfPossible(catalog: Catalog, signal: AbortSignal | undefined): Promise<void> {
  try {
    await catalog.refresh(signal);
  } catch (error) {
    const reason = reasonOf(error);
    const away = reason === ErrorReason.DATABASE_UNAVAILABLE || reason === ErrorReason.CATALOG_BEHIND;
    if (!away || catalog.staleSince === undefined) throw error;
  }
}
