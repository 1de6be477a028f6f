import { nanos, type Msg, type NatsConnection } from "nats";
import type { BusMessage } from "./bus.ts";
import { ownHeaders } from "./jetstream-message.ts";
import { CALL_DEADLINE_MS } from "./nats-session.ts";

/** A message as a consumer got it. Each answer may go over any connection: the one it came by may be gone. */
export interface Delivery {
  readonly message: BusMessage;
  /** The how manieth time it came, from 1. */
  readonly count: number;
  /** Its place among everything that this consumer sent. */
  readonly consumerSequence: number;
  /** How many the consumer has after it. */
  readonly pending: number;
  /** It is done; resolves when the server has noted it. */
  done(connection: NatsConnection): Promise<void>;
  /** It is to come again after so many milliseconds. */
  again(connection: NatsConnection, afterMs: number): void;
  /** It is being worked on. */
  working(connection: NatsConnection): void;
}

/** @throws TypeError for a message that came from no consumer */
export function delivery({ subject, data, headers, reply = "" }: Msg): Delivery {
  const [count, sequence, consumerSequence, timeNanos, pending] = positions(reply);
  return {
    message: { subject, data, headers: ownHeaders(headers), sequence, time: new Date(timeNanos / 1e6) },
    count,
    consumerSequence,
    pending,
    done: async (connection) => void (await connection.request(reply, "+ACK", { timeout: CALL_DEADLINE_MS })),
    again: (connection, afterMs) => connection.publish(reply, `-NAK ${JSON.stringify({ delay: nanos(afterMs) })}`),
    working: (connection) => connection.publish(reply, "+WPI"),
  };
}

/** What the subject for the answer tells; it begins with `$JS.ACK.stream.consumer`, or `$JS.ACK.domain.account.stream.consumer`. */
function positions(reply: string): [number, number, number, number, number] {
  const tokens = reply.split(".");
  const numbers = tokens.slice(tokens.length > 9 ? 6 : 4).map(Number);
  const [count, sequence, consumerSequence, time, pending] = numbers;
  if (!reply.startsWith("$JS.ACK.") || pending === undefined) throw new TypeError("the message came from no consumer");
  return [count!, sequence!, consumerSequence!, time!, pending];
}
