import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { encodeToken, type Position } from "@operator-management/client";
import { ErrorReason, type Consistency, type Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { databaseFailure } from "../db/database-error.ts";
import type { OpenDatabase, Transaction } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { opsError } from "../rpc/errors.ts";
import { sameBytes } from "./bytes.ts";
import type { Catalog } from "./catalog.ts";
import { parseToken, type ReadPoint } from "./consistency.ts";
import { leadsTo } from "./leads-to.ts";
import { InRecoveryError, readHead } from "./load.ts";
import { catalogBehind } from "./position-errors.ts";

/** What reads of the database need besides it: the history as this process knows it. */
export interface SnapshotReadDeps {
  readonly database: Pick<OpenDatabase, "readSnapshot" | "dropPrimary">;
  readonly catalog: Catalog;
  /** Brings the catalog up to date soon. */
  readonly wake: () => void;
}

/** How new what is read must be. */
export interface Freshness {
  readonly atLeast: Pick<Token, "revision">;
  /** Whether older content will do while the primary is away: nobody asked for the freshness. */
  readonly orOlder: boolean;
}

/** One snapshot of the database, of this history. */
export interface View {
  readonly tx: Transaction;
  readonly position: Position;
  /** It is older than asked for: what isn't there may have come since. */
  readonly older: boolean;
}

/** What was read, and of which position it is. */
export interface SnapshotRead<T> extends ReadPoint {
  readonly value: T;
  readonly older: boolean;
}

/** What `consistency` promises of a read that memory can't answer; `point` is where memory was when it was met. */
export function freshnessOf(consistency: Consistency | undefined, point: ReadPoint): Freshness {
  const requirement = consistency?.requirement;
  switch (requirement?.case) {
    case "atLeastAsFresh":
      return { atLeast: parseToken(requirement.value, "consistency.at_least_as_fresh"), orOlder: false };
    case "fullyConsistent":
      return { atLeast: point.position, orOlder: false };
    case "minimizeLatency":
    case undefined:
      return { atLeast: point.position, orOlder: true };
  }
}

/**
 * Reads one snapshot of the standby, if what it holds is of this history and new enough; else of the primary. While the primary is away, older
 * content of this history will do if `orOlder`, and `staleSince` is set. `work` may run twice, and must not throw for what it doesn't find.
 * Throws DATABASE_UNAVAILABLE, CATALOG_BEHIND when the primary's history isn't (yet) the one that this process knows.
 */
export async function readSnapshot<T>(
  deps: SnapshotReadDeps,
  freshness: Freshness,
  work: (view: View) => Promise<T>,
): Promise<SnapshotRead<T>> {
  const { catalog } = deps;
  const away = catalog.staleSince !== undefined;
  try {
    return await attempt(deps, freshness, freshness.orOlder && away, work);
  } catch (error) {
    // It may have gone away just now, before anybody noticed.
    const retry = freshness.orOlder && !away && databaseFailure(error) !== undefined;
    if (!retry) throw typedDatabaseError(error);
  }
  try {
    return await attempt(deps, freshness, true, work);
  } catch (error) {
    throw typedDatabaseError(error);
  }
}

/** For what wasn't found where it may be missing only because it is new: DATABASE_UNAVAILABLE. */
export function notFoundYet(): Error {
  return opsError(
    ErrorReason.DATABASE_UNAVAILABLE,
    "the primary database doesn't answer, and the replica may not have this yet: try again",
    { retryAfterMs: 1_000 },
  );
}

async function attempt<T>(
  { database, catalog, wake }: SnapshotReadDeps,
  { atLeast }: Freshness,
  olderWillDo: boolean,
  work: (view: View) => Promise<T>,
): Promise<SnapshotRead<T>> {
  /** Of the standby's snapshot, from `fits` to the work in the same snapshot. */
  let accepted: Position | undefined;
  const fits = async (tx: Transaction): Promise<boolean> => {
    const { position } = await readHead(tx);
    if (!olderWillDo && position.revision < atLeast.revision) return false;
    if (!(await leadsTo(tx, catalog.ring, position))) return false;
    accepted = position;
    return true;
  };
  const read = async (tx: Transaction): Promise<SnapshotRead<T>> => {
    const position = accepted ?? (await positionOfPrimary(tx, catalog, atLeast));
    accepted = undefined; // should the standby fail now, the work is done again on the primary
    const older = position.revision < atLeast.revision;
    const value = await work({ tx, position, older });
    return { value, older, position, token: encodeToken(position), staleSince: staleSince(catalog, older) };
  };
  try {
    return await database.readSnapshot(read, fits);
  } catch (error) {
    if (error instanceof InRecoveryError) database.dropPrimary();
    if (!(error instanceof InRecoveryError || error instanceof OtherHistoryError)) throw error;
    wake();
    throw catalogBehind(error);
  }
}

/** The primary has lost history, and this process is about to notice: until then it doesn't mix the two. */
class OtherHistoryError extends Error {}

async function positionOfPrimary(tx: Transaction, catalog: Catalog, atLeast: Freshness["atLeast"]): Promise<Position> {
  const { position, inRecovery } = await readHead(tx);
  if (inRecovery) throw new InRecoveryError();
  if (position.revision >= atLeast.revision && mayBeAfter(catalog, position)) return position;
  throw new OtherHistoryError("the primary's history isn't the one in memory");
}

/** What is beyond memory is taken for granted: it comes from the primary. */
function mayBeAfter({ ring }: Catalog, { store, revision, fingerprint }: Position): boolean {
  if (!sameBytes(store, ring.store)) return false;
  return revision > ring.head.revision || ring.contains(revision, fingerprint);
}

function staleSince({ staleSince }: Catalog, older: boolean): Timestamp | undefined {
  const since = staleSince ?? (older ? new Date() : undefined);
  return since && timestampFromDate(since);
}
