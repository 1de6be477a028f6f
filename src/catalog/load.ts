import type { Position } from "@operator-management/client";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { desc, eq, inArray, isNull, sql } from "drizzle-orm";
import type { Database, Transaction } from "../db/db.ts";
import { configChange, configHead, operator } from "../db/schema.ts";
import { decodeRecord } from "../history/decode-record.ts";
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

/** The server is a standby: it may be behind what the primary has acknowledged. */
export class InRecoveryError extends Error {
  constructor() {
    super("the database is a standby: the primary has moved");
    this.name = "InRecoveryError";
  }
}

/** How to load. */
export interface LoadOptions {
  readonly limits?: RingLimits;
  /** Whether a standby will do; no by default, and it says so with InRecoveryError. */
  readonly standby?: boolean;
  /** Called whenever a part has arrived. */
  readonly progress?: () => void;
}

/** Loads everything in one snapshot of the database, head first. Entries of `present` that are still the same are taken over. */
export async function loadCatalog(
  db: Database,
  present: (id: string) => CatalogEntry | undefined = () => undefined,
  { limits = RING_LIMITS, standby = false, progress = () => undefined }: LoadOptions = {},
): Promise<LoadedCatalog> {
  return db.transaction(
    async (tx) => {
      const { position: head, inRecovery } = await readHead(tx);
      // Asked in the snapshot itself: the server may be another one than a moment ago.
      if (inRecovery && !standby) throw new InRecoveryError();
      progress();
      const { entries, damaged } = await loadEntries(tx, present, progress);
      const revisions = await preloadRevisions(tx, head.revision, limits, (id) => entries.get(id), progress);
      const ring = new Ring(head, revisions, limits);
      // From the very beginning the whole chain can be checked, and then every position in it is known.
      const broken = ring.floor === 0n && !ring.contains(0n, genesis(head.store));
      return { entries, damaged, ring: broken ? new Ring(head, [], limits) : ring };
    },
    { isolationLevel: "repeatable read", accessMode: "read only" },
  );
}

async function loadEntries(
  tx: Transaction,
  present: (id: string) => CatalogEntry | undefined,
  progress: () => void,
): Promise<Pick<LoadedCatalog, "entries" | "damaged">> {
  const rows = await tx
    .select({ id: operator.id, uid: operator.uid, digest: operator.digest })
    .from(operator)
    .where(isNull(operator.deleteTime));
  progress();
  const entries = new Map<string, CatalogEntry>();
  const missing: string[] = [];
  const damaged: string[] = [];
  for (const { id, uid, digest } of rows) {
    const entry = present(id);
    if (entry !== undefined && sameBytes(entry.digest, digest)) entries.set(id, entry);
    else missing.push(uid);
  }
  for (let at = 0; at < missing.length; at += RECORDS_AT_ONCE) {
    const records = await tx
      .select({ id: operator.id, uid: operator.uid, record: operator.record, digest: operator.digest })
      .from(operator)
      .where(inArray(operator.uid, missing.slice(at, at + RECORDS_AT_ONCE)));
    progress();
    for (const { id, uid, record, digest } of records) {
      // A row that doesn't decode must keep neither its operator nor the others from being served: history holds it too.
      const entry = decodable(record, digest) ?? (await entryFromHistory(tx, uid));
      if (entry === undefined) damaged.push(id);
      else entries.set(entry.id, entry);
    }
  }
  return { entries, damaged };
}

function decodable(record: Uint8Array, digest: Uint8Array): CatalogEntry | undefined {
  return decodeRecord(OperatorSchema, record) && entryOf(record, digest);
}

/** The operator as its last change left it. */
async function entryFromHistory(tx: Transaction, uid: string): Promise<CatalogEntry | undefined> {
  const [last] = await tx
    .select({ record: configChange.record })
    .from(configChange)
    .where(eq(configChange.operatorUid, uid))
    .orderBy(desc(configChange.revision))
    .limit(1);
  const bytes = last && decodeRecord(ConfigChangeSchema, last.record)?.operator;
  return bytes && decodeRecord(OperatorSchema, bytes) && entryOf(bytes);
}
