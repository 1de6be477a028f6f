import type { Timestamp } from "@bufbuild/protobuf/wkt";
import { and, desc, eq, gte, lt, or, sql } from "drizzle-orm";
import type { Database, Transaction } from "../db/db.ts";
import { healthTransition } from "../db/schema.ts";

/** A stored transition. */
export type TransitionRow = typeof healthTransition.$inferSelect;

/** Which transitions to read. */
export interface TransitionQuery {
  readonly operatorId: string;
  readonly connectionId: string;
  readonly startTime: Timestamp | undefined;
  readonly endTime: Timestamp | undefined;
  /** Only those after this place, newest first. */
  readonly after: TransitionPlace | undefined;
  readonly limit: number;
}

/** A place in the list: of a transition. */
export interface TransitionPlace {
  readonly time: Timestamp;
  readonly operatorUid: string;
  readonly connectionId: string;
}

/** Stores a transition; one that is there already is left alone. */
export async function insertTransition(db: Database, row: TransitionRow): Promise<void> {
  await db.insert(healthTransition).values(row).onConflictDoNothing();
}

/** Removes some of what is older. Returns how many. */
export async function deleteTransitionsBefore(db: Database, time: Timestamp, limit: number): Promise<number> {
  const { operatorUid, connectionId, time: at } = healthTransition;
  const some = db.select({ operatorUid, connectionId, at }).from(healthTransition).where(lt(at, time)).limit(limit);
  const removed = await db
    .delete(healthTransition)
    .where(sql`(${operatorUid}, ${connectionId}, ${at}) in ${some}`)
    .returning({ operatorUid });
  return removed.length;
}

/** Transitions, newest first. */
export function selectTransitions(tx: Transaction, query: TransitionQuery): Promise<TransitionRow[]> {
  const { time, operatorUid, connectionId, operatorId } = healthTransition;
  const { after } = query;
  return tx
    .select()
    .from(healthTransition)
    .where(
      and(
        query.operatorId === "" ? undefined : eq(operatorId, query.operatorId),
        query.connectionId === "" ? undefined : eq(connectionId, query.connectionId),
        query.startTime && gte(time, query.startTime),
        query.endTime && lt(time, query.endTime),
        after &&
          or(
            lt(time, after.time),
            and(eq(time, after.time), lt(operatorUid, after.operatorUid)),
            and(eq(time, after.time), eq(operatorUid, after.operatorUid), lt(connectionId, after.connectionId)),
          ),
      ),
    )
    .orderBy(desc(time), desc(operatorUid), desc(connectionId))
    .limit(query.limit);
}
