import type { Position } from "@operator-management/client";
import type { OpenDatabase } from "../db/db.ts";
import { requireSchema } from "../db/schema-level.ts";
import { sameBytes } from "./bytes.ts";
import type { Catalog } from "./catalog.ts";
import { InRecoveryError, loadCatalog, readHead } from "./load.ts";
import { readLinks } from "./read-links.ts";
import type { RingLimits } from "./ring.ts";
import { unlessSilent } from "./unless-silent.ts";

/** How long a server may be silent before it is given up, in milliseconds; it is one step of the work that is timed, not all of it. */
export interface Patience {
  readonly headMs: number;
  /** For larger answers. */
  readonly readMs: number;
}

export interface CatchUpDeps {
  readonly database: Pick<OpenDatabase, "tail" | "replica">;
  readonly catalog: Catalog;
  readonly ringLimits: RingLimits;
  readonly patience: Patience;
  /** Ends the work. */
  readonly signal: AbortSignal;
}

/** The catalog was loaded as a whole. */
export interface Reload {
  readonly reason: string;
  /** Where it was before; undefined the first time. */
  readonly before: bigint | undefined;
  /** Whether it was at a position that the primary doesn't have: lost in a failover, or the primary was another server. */
  readonly forked: boolean;
  readonly damaged: readonly string[];
}

/**
 * Brings the catalog to the primary's head: by whole revisions whose fingerprints lead from its position to the head's, or by loading it as
 * a whole when none do. Changes nothing unless it succeeds. Throws SchemaError, InRecoveryError, SilentError, the database's errors.
 */
export async function catchUp(deps: CatchUpDeps): Promise<Reload | undefined> {
  const { database, catalog, ringLimits, patience, signal } = deps;
  if (!catalog.loaded) await unlessSilent(patience.headMs, signal, () => requireSchema(database.tail));
  const { position: head, inRecovery } = await unlessSilent(patience.headMs, signal, () => readHead(database.tail));
  if (inRecovery) throw new InRecoveryError();
  if (!catalog.loaded) return load(deps, "start", false);
  const { position: mine } = catalog;
  if (!sameBytes(head.store, mine.store)) return load(deps, "another store", true);
  if (head.revision < mine.revision) return load(deps, "the head went back", true);
  if (head.revision === mine.revision) {
    return sameBytes(head.fingerprint, mine.fingerprint) ? undefined : load(deps, "another history", true);
  }
  const read = await unlessSilent(patience.readMs, signal, () => readLinks(database.tail, catalog, head, ringLimits));
  if ("broken" in read) return load(deps, read.broken, read.forked);
  for (const { revision, fingerprint } of read.links) catalog.apply(revision, fingerprint);
  return undefined;
}

/** The first load from the standby, which may be behind, or even of a lost history: whoever calls has marked the catalog as stale. */
export async function loadFromStandby({
  database,
  catalog,
  ringLimits,
  patience,
  signal,
}: CatchUpDeps): Promise<Reload | undefined> {
  const { replica } = database;
  if (replica === undefined || catalog.loaded) return undefined;
  await unlessSilent(patience.headMs, signal, () => requireSchema(replica));
  const loaded = await unlessSilent(patience.readMs, signal, (progress) =>
    loadCatalog(replica, undefined, { limits: ringLimits, standby: true, progress }),
  );
  catalog.replace(loaded);
  return { reason: "start from the replica", before: undefined, forked: false, damaged: loaded.damaged };
}

async function load(
  { database, catalog, ringLimits, patience, signal }: CatchUpDeps,
  reason: string,
  forked: boolean,
): Promise<Reload> {
  const before: Position | undefined = catalog.loaded ? catalog.position : undefined;
  const loaded = await unlessSilent(patience.readMs, signal, (progress) =>
    loadCatalog(database.tail, (id) => catalog.get(id), { limits: ringLimits, progress }),
  );
  catalog.replace(loaded);
  return { reason, before: before?.revision, forked, damaged: loaded.damaged };
}
