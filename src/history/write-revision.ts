import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { inArray, sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { configChange, operator } from "../db/schema.ts";
import type { Revision } from "./compose-revision.ts";
import { moveHead } from "./head.ts";

/** The channel that is notified after each revision. The payload is for people: listeners read the head. */
export const CONFIG_CHANGED = "config_changed";

/** Writes a composed revision: history, current rows, head, notification. The head must be locked by the same transaction. */
export async function writeRevision(tx: Transaction, revision: Revision, commitTime: Timestamp): Promise<void> {
  const { position, changes } = revision;
  await tx.insert(configChange).values(
    changes.map(({ uid, operatorId, record }) => ({
      revision: position.revision,
      operatorUid: uid,
      operatorId,
      record,
    })),
  );
  const purged = changes.filter(({ row }) => row === undefined).map(({ uid }) => uid);
  // Purges first: a revision may free an id and use it again.
  if (purged.length > 0) await tx.delete(operator).where(inArray(operator.uid, purged));
  const rows = changes.flatMap(({ row }) => row ?? []);
  if (rows.length > 0) {
    await tx.insert(operator).values(rows).onConflictDoUpdate({ target: operator.uid, set: everyColumnButUid() });
  }
  await moveHead(tx, position, commitTime);
  await tx.execute(sql`select pg_notify(${CONFIG_CHANGED}, ${String(position.revision)})`);
}

function everyColumnButUid() {
  return {
    id: sql`excluded.id`,
    revision: sql`excluded.revision`,
    record: sql`excluded.record`,
    digest: sql`excluded.digest`,
    specDigest: sql`excluded.spec_digest`,
    kind: sql`excluded.kind`,
    adminState: sql`excluded.admin_state`,
    deleteTime: sql`excluded.delete_time`,
    purgeTime: sql`excluded.purge_time`,
    liveCoverage: sql`excluded.live_coverage`,
  } satisfies Record<Exclude<keyof typeof operator.$inferInsert, "uid">, unknown>;
}
