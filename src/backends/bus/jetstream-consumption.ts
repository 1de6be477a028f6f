import { setTimeout } from "node:timers/promises";
import type { Msg, NatsConnection } from "nats";
import type { BusMessage, Consumption, ConsumerSpec } from "./bus.ts";
import { delivery, type Delivery } from "./delivery.ts";
import { makeDurable } from "./jetstream-durable.ts";
import { handleOrBury, type Handling } from "./jetstream-handling.ts";
import type { NatsSession } from "./nats-session.ts";
import { pull, REQUEST_TIMEOUT } from "./pull.ts";
import { redeliveryPause, type RedeliveryPauses } from "./redelivery.ts";

/** Short, as the loss of the consumer's leader is noticed by its silence only. */
const PULL_WAIT_MS = 3_000;
const FIRST_PAUSE_MS = 50;
const MAX_PAUSE_MS = 2_000;

/** What a consumption works with. */
export interface ConsumptionDeps extends Handling {
  readonly pauses: RedeliveryPauses;
  /** A message comes again to somebody else when whoever had it was not heard of for so many milliseconds. */
  readonly ackWaitMs: number;
}

/** Handles a durable consumer's messages, as `Bus.consume` says. */
export function consumeFromJetStream(
  deps: ConsumptionDeps,
  spec: ConsumerSpec,
  handle: (message: BusMessage, signal: AbortSignal) => Promise<void>,
): Consumption {
  const { link, pauses, ackWaitMs, closing } = deps;
  const stopping = new AbortController();
  const stop = AbortSignal.any([stopping.signal, closing]);

  const run = async (): Promise<void> => {
    let known = false; // whether the consumer was there a moment ago
    let wanted = spec;
    for (let failures = 0; !stop.aborted;) {
      const session = await link.connected(stop);
      const pulled = await pullNext(session, wanted, { make: !known, ackWaitMs, stop });
      known = pulled !== "failed";
      // Should it be deleted, or the stream made anew, then nothing that came meanwhile is to be left out.
      if (known) wanted = { ...spec, begin: "all" };
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
    // Its handler may take long, and so may what is done about its failure.
    const stillHere = setInterval(() => answer((connection) => delivered.working(connection)), ackWaitMs / 3);
    try {
      await handleOrBury(deps, spec, delivered, handle);
    } catch {
      // The handler tells of its failures itself; here one only means that the message comes again.
      answer((connection) => delivered.again(connection, redeliveryPause(delivered.count, pauses)));
      return;
    } finally {
      clearInterval(stillHere);
    }
    try {
      await delivered.done((await link.connected(AbortSignal.timeout(ackWaitMs))).connection);
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

async function pullNext(
  session: NatsSession,
  spec: ConsumerSpec,
  { make, ackWaitMs, stop }: { readonly make: boolean; readonly ackWaitMs: number; readonly stop: AbortSignal },
): Promise<Msg | "nothing" | "failed"> {
  const { stream, durable } = spec;
  let message: Msg | undefined;
  try {
    // Old servers leave a request to a consumer that isn't there unanswered, so it is made after every failure.
    if (make) await makeDurable(session, spec, ackWaitMs);
    const request = { stream, consumer: durable, batch: 1, waitMs: PULL_WAIT_MS };
    const status = await pull(session.connection, request, (one) => (message = one), stop);
    if (message !== undefined) return message;
    return status === undefined || status.code === REQUEST_TIMEOUT ? "nothing" : "failed";
  } catch {
    return "failed"; // told by the link, if it lasts
  }
}
