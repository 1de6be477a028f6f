import { AckPolicy, DeliverPolicy, nanos } from "nats";
import type { ConsumerSpec } from "./bus.ts";
import { API_ERROR, apiErrorCode } from "./nats-errors.ts";
import type { NatsSession } from "./nats-session.ts";

/** Makes the durable consumer, if it isn't there already, and adapts one that an earlier release made. */
export async function makeDurable(
  { manager }: NatsSession,
  { stream, durable, begin = "all" }: ConsumerSpec,
  ackWaitMs: number,
): Promise<void> {
  const adaptable = {
    ack_wait: nanos(ackWaitMs),
    // One at a time keeps the order, also when a message has to come again.
    max_ack_pending: 1,
    // A failure that may pass has no limit; `attempts.ts` finds the messages that kill.
    max_deliver: -1,
  };
  try {
    await manager.consumers.add(stream, {
      durable_name: durable,
      deliver_policy: begin === "new" ? DeliverPolicy.New : DeliverPolicy.All,
      ack_policy: AckPolicy.Explicit,
      ...adaptable,
    });
  } catch (error) {
    const code = apiErrorCode(error);
    if (code !== API_ERROR.consumerExists && code !== API_ERROR.consumerNameExists) throw error;
    await manager.consumers.update(stream, durable, adaptable);
  }
}
