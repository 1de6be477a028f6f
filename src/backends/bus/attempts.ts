import { headers as natsHeaders, type MsgHdrs } from "nats";
import type { ConsumerSpec } from "./bus.ts";
import type { Delivery } from "./delivery.ts";
import { API_ERROR, apiErrorCode } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";

/**
 * So many deliveries in a row that end without a word, since their processes died, make a message one that kills. The server's own `max_deliver`
 * can't be used for it: it also counts the deliveries that failed for want of a database, however long that lasts, and skips the message silently.
 */
export const MAX_DELIVER = 5;

/** Up to which delivery of a message its end is known. */
interface Mark {
  readonly sequence: number;
  /** When the stream took it, as a stream that is made anew counts from 1. */
  readonly time: number;
  readonly count: number;
}

/**
 * Whether the message has killed whoever got it. The first deliveries are not held against it, as only from then on marks are kept: it is given up
 * after MAX_DELIVER deliveries that nobody knows of and as many more after a mark. Reads nothing for a message that goes well.
 */
export async function isDeadly(session: NatsSession, spec: ConsumerSpec, delivered: Delivery): Promise<boolean> {
  const { count } = delivered;
  if (count <= MAX_DELIVER) return false;
  const mark = await readMark(session, spec);
  const { sequence, time } = delivered.message;
  if (mark?.sequence === sequence && mark.time === time.getTime() && mark.count < count) {
    return count - 1 - mark.count >= MAX_DELIVER;
  }
  await writeMark(session, spec, delivered, count - 1);
  return false;
}

/** Notes that this delivery has ended in good order, though in vain. */
export async function noteFailure(session: NatsSession, spec: ConsumerSpec, delivered: Delivery): Promise<void> {
  if (delivered.count >= MAX_DELIVER) await writeMark(session, spec, delivered, delivered.count);
}

const subjectOf = ({ stream, durable }: ConsumerSpec): string => `ops.attempts.v1.${stream}.${durable}`;

async function readMark({ manager }: NatsSession, spec: ConsumerSpec): Promise<Mark | undefined> {
  let header: MsgHdrs;
  try {
    ({ header } = await manager.streams.getMessage("OPS_ATTEMPTS", { last_by_subj: subjectOf(spec) }));
  } catch (error) {
    if (apiErrorCode(error) === API_ERROR.messageNotFound) return undefined;
    throw error;
  }
  const [sequence, time, count] = ["Ops-Sequence", "Ops-Time", "Ops-Count"].map((name) => Number(header.get(name)));
  return { sequence: sequence!, time: time!, count: count! };
}

async function writeMark(
  session: NatsSession,
  spec: ConsumerSpec,
  { message }: Delivery,
  count: number,
): Promise<void> {
  const headers = natsHeaders();
  headers.set("Ops-Sequence", String(message.sequence));
  headers.set("Ops-Time", String(message.time.getTime()));
  headers.set("Ops-Count", String(count));
  await session.jetstream.publish(subjectOf(spec), new Uint8Array(), { headers });
}
