import type { Logger } from "pino";
import { isDeadly, MAX_DELIVER, noteFailure } from "./attempts.ts";
import { BusUnavailableError, PoisonMessageError, type BusMessage, type ConsumerSpec } from "./bus.ts";
import { BURIED, deadLetter } from "./dead-letters.ts";
import type { Delivery } from "./delivery.ts";
import { reasonText } from "./nats-errors.ts";
import type { NatsLink } from "./nats-link.ts";
import type { NatsSession } from "./nats-session.ts";

export interface Handling {
  readonly link: NatsLink;
  readonly logger: Pick<Logger, "warn" | "error">;
  /** Aborted when the bus is closed: the handler's signal. */
  readonly closing: AbortSignal;
}

/** Handles one delivery, or makes it a dead letter; rejects when it is to come again. */
export async function handleOrBury(
  deps: Handling,
  spec: ConsumerSpec,
  delivered: Delivery,
  handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
): Promise<void> {
  if (await attempts(deps, false, (session) => isDeadly(session, spec, delivered))) {
    return bury(deps, spec, delivered, `its consumer died of it at least ${MAX_DELIVER} times in a row`);
  }
  try {
    await handle(delivered.message, deps.closing);
  } catch (error) {
    if (error instanceof PoisonMessageError) return bury(deps, spec, delivered, error.message);
    await attempts(deps, undefined, (session) => noteFailure(session, spec, delivered));
    throw error;
  }
}

/** What can't be known of earlier attempts is not held against a message, and doesn't hold it up. */
async function attempts<T>({ link }: Handling, otherwise: T, ask: (session: NatsSession) => Promise<T>): Promise<T> {
  try {
    return link.session === undefined ? otherwise : await ask(link.session);
  } catch {
    link.doubt();
    return otherwise;
  }
}

/** @throws BusUnavailableError, NatsError when it isn't sure that the dead letter is kept */
async function bury(deps: Handling, spec: ConsumerSpec, delivered: Delivery, problem: string): Promise<void> {
  const { link, logger } = deps;
  const { sequence } = delivered.message;
  const { subject, data, messageId } = deadLetter(delivered.message, spec, problem);
  try {
    if (link.session === undefined) throw new BusUnavailableError("keep a dead letter: not connected");
    await link.session.jetstream.publish(subject, data, { msgID: messageId, expect: { streamName: "OPS_DLQ" } });
  } catch (error) {
    link.doubt();
    if (delivered.count === 1) {
      logger.warn(
        { ...spec, sequence, problem, reason: reasonText(error) },
        "a dead letter can't be kept now; trying on",
      );
    }
    throw error;
  }
  logger.error({ ...spec, sequence, problem }, BURIED);
}
