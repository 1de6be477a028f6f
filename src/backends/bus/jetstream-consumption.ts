import { setTimeout } from "node:timers/promises";
import { AckPolicy, DeliverPolicy, nanos, type ConsumerConfig, type Msg, type NatsConnection } from "nats";
import type { BusMessage, Consumption, ConsumerSpec } from "./bus.ts";
import { delivery, type Delivery } from "./delivery.ts";
import { API_ERROR, apiErrorCode } from "./nats-errors.ts";
import type { NatsLink } from "./nats-link.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull } from "./pull.ts";
import { redeliveryPause, type RedeliveryPauses } from "./redelivery.ts";

/** A message comes again to somebody else when whoever had it was not heard of for this long. */
const ACK_WAIT_MS = 10_000;
/** Short, as the loss of the consumer's leader is noticed by its silence only. */
const PULL_WAIT_MS = 3_000;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

/** What a consumption works with. */
export interface ConsumptionDeps {
  readonly link: NatsLink;
  readonly pauses: RedeliveryPauses;
  /** Aborted when the bus is closed: the handler's signal. */
  readonly closing: AbortSignal;
}

/** Handles a durable consumer's messages, as `Bus.consume` says. */
export function consumeFromJetStream(
  { link, pauses, closing }: ConsumptionDeps,
  spec: ConsumerSpec,
  handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
): Consumption {
  const stopping = new AbortController();
  const stop = AbortSignal.any([stopping.signal, closing]);

  const run = async (): Promise<void> => {
    let known = false; // whether the consumer was there a moment ago
    for (let failures = 0; !stop.aborted;) {
      const session = await link.connected(stop);
      const pulled = await pullNext(session, spec, { make: !known, stop });
      known = pulled !== "failed";
      if (pulled === "failed") {
        // Whatever the reason: the connection, the stream's or consumer's leader, or one of them is gone.
        link.doubt();
        const pause = Math.min(MAX_PAUSE_MS, FIRST_PAUSE_MS * 2 ** Math.min(failures++, 20));
        await setTimeout(pause, undefined, { signal: stop });
        continue;
      }
      failures = 0;
      if (pulled === "nothing") continue;
      const delivered = delivery(pulled);
      // It came while the request was being taken back: somebody else may have it at once.
      if (stop.aborted) answer((connection) => delivered.again(connection, 0));
      else await handleOne(delivered);
    }
  };

  const handleOne = async (delivered: Delivery): Promise<void> => {
    const stillHere = setInterval(() => answer((connection) => delivered.working(connection)), ACK_WAIT_MS / 3);
    try {
      await handle(delivered.message, closing);
    } catch {
      // The handler tells of its failures itself; here one only means that the message comes again.
      answer((connection) => delivered.again(connection, redeliveryPause(delivered.count, pauses)));
      return;
    } finally {
      clearInterval(stillHere);
    }
    try {
      await delivered.done((await link.connected(AbortSignal.timeout(ACK_WAIT_MS))).connection);
    } catch {
      link.doubt(); // it comes again, which the handler bears
    }
  };

  /** Tells the server, if there is one; what it isn't told it finds out after the wait for an answer. */
  const answer = (tell: (connection: NatsConnection) => void): void => {
    const connection = link.session?.connection;
    if (connection !== undefined && !connection.isClosed()) tell(connection);
  };

  const ended = run().catch((error: unknown) => {
    if (!stop.aborted) throw error;
  });
  return {
    close: () => {
      stopping.abort();
      return ended;
    },
  };
}

/** The server's word that nothing came while it waited. */
const REQUEST_TIMEOUT = 408;

async function pullNext(
  session: NatsSession,
  spec: ConsumerSpec,
  { make, stop }: { readonly make: boolean; readonly stop: AbortSignal },
): Promise<Msg | "nothing" | "failed"> {
  const { stream, durable } = spec;
  let message: Msg | undefined;
  try {
    // Old servers leave a request to a consumer that isn't there unanswered, so it is made after every failure.
    if (make) await makeConsumer(session, spec);
    const request = { stream, consumer: durable, batch: 1, waitMs: PULL_WAIT_MS };
    const status = await pull(session.connection, request, (one) => (message = one), stop);
    if (message !== undefined) return message;
    return status === undefined || status.code === REQUEST_TIMEOUT ? "nothing" : "failed";
  } catch {
    return "failed"; // told by the link, if it lasts
  }
}

/** Makes the durable consumer, if it isn't there already, and adapts one that an earlier release made. */
async function makeConsumer({ manager }: NatsSession, { stream, durable }: ConsumerSpec): Promise<void> {
  const wanted: Partial<ConsumerConfig> = {
    durable_name: durable,
    deliver_policy: DeliverPolicy.All,
    ack_policy: AckPolicy.Explicit,
    ack_wait: nanos(ACK_WAIT_MS),
    // One at a time keeps the order, also when a message has to come again.
    max_ack_pending: 1,
    max_deliver: -1,
  };
  try {
    await manager.consumers.add(stream, wanted);
  } catch (error) {
    const code = apiErrorCode(error);
    if (code !== API_ERROR.consumerExists && code !== API_ERROR.consumerNameExists) throw error;
    await manager.consumers.update(stream, durable, {
      ack_wait: nanos(ACK_WAIT_MS),
      max_ack_pending: 1,
      max_deliver: -1,
    });
  }
}
