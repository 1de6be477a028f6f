import { timestampFromDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import type { Logger } from "pino";
import {
  PoisonMessageError,
  type Bus,
  type BusMessage,
  type ConsumerSpec,
  type Consumption,
} from "../backends/bus/bus.ts";
import { isAboutValues } from "../db/database-error.ts";
import type { Database } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { deleteTransitionsBefore, insertTransition, type TransitionRow } from "./queries.ts";
import { decodeTransition } from "./recorded-states.ts";
import { linkOf } from "./subjects.ts";

/** Shared by all processes: each transition is stored by one of them. */
export const TRANSITION_CONSUMER: ConsumerSpec = { stream: "OPS_STATE", durable: "ops-state-writer" };

/** How long transitions are kept in the database. */
const KEEP_MS = 90 * 24 * 60 * 60_000;
const FORGET_INTERVAL_MS = 60 * 60_000;
const ROWS_PER_PART = 1_000;
const MOST_PARTS = 100;

/** What the writer needs. */
export interface TransitionWriterDeps {
  readonly bus: Pick<Bus, "consume">;
  readonly db: Database;
  readonly logger: Pick<Logger, "warn">;
  readonly now: () => Date;
}

/** Stores transitions, each once, however often its message comes. While the database is away they wait in the stream. */
export function storeTransitions({ bus, db, logger, now }: TransitionWriterDeps): Consumption {
  let failing = false;
  let forgotAt = -Infinity;
  return bus.consume(TRANSITION_CONSUMER, async (message) => {
    const row = rowOf(message);
    try {
      await insertTransition(db, row);
      failing = false;
    } catch (error) {
      if (isAboutValues(error)) throw new PoisonMessageError("the database refuses its values", { cause: error });
      if (!failing) {
        failing = true; // once per outage
        logger.warn({ err: typedDatabaseError(error) }, "transitions of links wait on the bus: storing them failed");
      }
      throw error;
    }
    const time = now().getTime();
    if (time - forgotAt < FORGET_INTERVAL_MS) return;
    forgotAt = time;
    try {
      await forgetTransitions(db, timestampFromDate(new Date(time - KEEP_MS)));
    } catch (error) {
      // The transition is stored; the old ones can wait.
      logger.warn(
        { err: typedDatabaseError(error) },
        "old transitions of links were not removed; trying again in an hour",
      );
    }
  });
}

/** Removes what is older, in parts that each take milliseconds. */
async function forgetTransitions(db: Database, before: Timestamp): Promise<void> {
  for (let part = 0; part < MOST_PARTS; part++) {
    if ((await deleteTransitionsBefore(db, before, ROWS_PER_PART)) < ROWS_PER_PART) return;
  }
}

/** @throws PoisonMessageError */
function rowOf({ subject, data }: BusMessage): TransitionRow {
  const link = linkOf(subject);
  const transition = decodeTransition(data);
  if (link === undefined || transition?.time === undefined)
    throw new PoisonMessageError("it is no transition of a link");
  return { ...link, operatorId: transition.operatorId, time: transition.time, record: data };
}
