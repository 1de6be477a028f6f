import type { Position } from "@operator-management/client";
import { inArray, isNull, sql } from "drizzle-orm";
import type { Database, Transaction } from "../db/db.ts";
import { configHead, operator } from "../db/schema.ts";
import { genesis } from "../history/fingerprint.ts";
import { sameBytes } from "./bytes.ts";
import type { LoadedCatalog } from "./catalog.ts";
import { entryOf, type CatalogEntry } from "./entry.ts";
import { preloadRevisions } from "./preload.ts";
import { Ring, RING_LIMITS, type RingLimits } from "./ring.ts";

const RECORDS_AT_ONCE = 200;

/** The head as this server has it, and whether the server is a standby. */
export async function readHead(
  reader: Pick<Database, "select">,
): Promise<{ readonly position: Position; readonly inRecovery: boolean }> {
  const [head] = await reader
    .select({
      position: { store: configHead.storeId, revision: configHead.revision, fingerprint: configHead.fingerprint },
      inRecovery: sql<boolean>`pg_is_in_recovery()`,
    })
    .from(configHead);
  if (head === undefined) throw new Error("the database has no config_head row: it was removed by hand");
  return head;
}

/** Loads everything in one snapshot of the database, head first. Entries of `present` that are still the same are taken over. */
export async function loadCatalog(
  db: Database,
  present: (id: string) => CatalogEntry | undefined = () => undefined,
  limits: RingLimits = RING_LIMITS,
): Promise<LoadedCatalog> {
  return db.transaction(
    async (tx) => {
      const { position: head } = await readHead(tx);
      const entries = await loadEntries(tx, present);
      const revisions = await preloadRevisions(tx, head.revision, limits, (id) => entries.get(id));
      const ring = new Ring(head, revisions, limits);
      // From the very beginning the whole chain can be checked, and then every position in it is known.
      const broken = ring.floor === 0n && !ring.contains(0n, genesis(head.store));
      return { entries, ring: broken ? new Ring(head, [], limits) : ring };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

async function loadEntries(
  tx: Transaction,
  present: (id: string) => CatalogEntry | undefined,
): Promise<Map<string, CatalogEntry>> {
  const rows = await tx
    .select({ id: operator.id, uid: operator.uid, digest: operator.digest })
    .from(operator)
    .where(isNull(operator.deleteTime));
  const entries = new Map<string, CatalogEntry>();
  const missing: string[] = [];
  for (const { id, uid, digest } of rows) {
    const entry = present(id);
    if (entry !== undefined && sameBytes(entry.digest, digest)) entries.set(id, entry);
    else missing.push(uid);
  }
  for (let at = 0; at < missing.length; at += RECORDS_AT_ONCE) {
    const records = await tx
      .select({ record: operator.record, digest: operator.digest })
      .from(operator)
      .where(inArray(operator.uid, missing.slice(at, at + RECORDS_AT_ONCE)));
    for (const { record, digest } of records) {
      const entry = entryOf(record, digest);
      if (entry !== undefined) entries.set(entry.id, entry);
    }
  }
  return entries;
}
