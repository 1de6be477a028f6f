import type { Timestamp } from "@bufbuild/protobuf/wkt";
import type { Position } from "@operator-management/client";
import { sql } from "drizzle-orm";
import type { Transaction } from "../db/db.ts";
import { configHead } from "../db/schema.ts";
import type { Reader } from "./find-operator.ts";

/** The end of history and the time of what is written next. */
export interface Head {
  readonly position: Position;
  /** The database's clock, but never before the last commit. */
  readonly now: Timestamp;
}

/**
 * Locks the head until the transaction ends. Must be the transaction's first statement, alone: the next statement's snapshot then
 * sees every earlier commit, and no two transactions can lock anything in a different order.
 */
export async function lockHead(tx: Transaction): Promise<Head> {
  return headOf(await headQuery(tx).for("update"));
}

/** The head without a lock, for a read-only snapshot. */
export async function readHead(reader: Reader): Promise<Head> {
  return headOf(await headQuery(reader));
}

/** Moves the locked head on. */
export async function moveHead(tx: Transaction, next: Position, commitTime: Timestamp): Promise<void> {
  await tx.update(configHead).set({ revision: next.revision, fingerprint: next.fingerprint, commitTime });
}

function headQuery(reader: Reader) {
  return reader
    .select({
      store: configHead.storeId,
      revision: configHead.revision,
      fingerprint: configHead.fingerprint,
      now: sql<Timestamp>`greatest(${configHead.commitTime}, clock_timestamp())`.mapWith(configHead.commitTime),
    })
    .from(configHead);
}

function headOf(rows: Awaited<ReturnType<typeof headQuery>>): Head {
  const [row] = rows;
  if (row === undefined) throw new Error("the database has no config_head row: it was removed by hand");
  const { now, ...position } = row;
  return { position, now };
}
