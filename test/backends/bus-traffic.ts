import { setTimeout } from "node:timers/promises";
import { BusUnavailableError, type Bus } from "../../src/backends/bus/bus.ts";
import { until } from "../cluster/until.ts";

/** Messages that are published one after the other, each until the bus has confirmed it, and handled at the other end. */
export interface Traffic {
  /** How many were confirmed. */
  readonly published: number;
  /** Whether what is published now arrives. */
  flows(): Promise<void>;
  /** Stops publishing; resolves with what was handled, in order, repetitions included, once all that was confirmed is among it. */
  end(): Promise<{ readonly published: readonly string[]; readonly handled: readonly string[] }>;
}

export function startTraffic(publisher: Bus, consumer: Bus): Traffic {
  const handled: string[] = [];
  const published: string[] = [];
  const stop = new AbortController();
  const consumption = consumer.consume({ stream: "OPS_AUDIT", durable: "writer" }, async ({ data }) => {
    handled.push(new TextDecoder().decode(data));
  });
  const publishAll = async (): Promise<void> => {
    while (!stop.signal.aborted) {
      const body = String(published.length);
      const options = { messageId: body, signal: new AbortController().signal };
      try {
        await publisher.publish("ops.audit.v1", new TextEncoder().encode(body), options);
        published.push(body);
      } catch (error) {
        if (!(error instanceof BusUnavailableError)) throw error;
      }
      await setTimeout(10);
    }
  };
  const ended = publishAll();
  const arrived = (): boolean => handled.includes(published.at(-1) ?? "");
  return {
    get published() {
      return published.length;
    },
    async flows() {
      const before = published.length;
      await until("more is published", () => published.length > before + 5, 60_000);
      await until("it arrives", () => handled.length > 0 && handled.includes(String(before + 5)), 60_000);
    },
    async end() {
      stop.abort();
      await ended;
      await until("everything has arrived", arrived, 60_000);
      await consumption.close();
      return { published, handled };
    },
  };
}
