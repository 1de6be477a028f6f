import { Gauge, type Registry } from "prom-client";
import type { Relay } from "./relay.ts";

/** Registers the relay's metrics; values are read when they are scraped. */
export function registerRelayMetrics(registry: Registry, relay: Relay): void {
  const gauge = (name: string, help: string, read: () => number): void => {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  };
  gauge(
    "ops_relay_lag_revisions",
    "Revisions that the stream of configuration changes still lacks, as this process saw it last; all of them when unknown.",
    () => relay.lag,
  );
  gauge("ops_relay_leader", "1 in the process that relays changes to the bus.", () => (relay.leads ? 1 : 0));
  gauge("ops_relay_published", "Messages that this process has published since its start.", () => relay.published);
  gauge("ops_relay_resets", "How often this process told everything anew since its start.", () => relay.resets);
  gauge(
    "ops_relay_repairs",
    "Operators that this process found wrong in the stream, and told again, since its start.",
    () => relay.repairs,
  );
}
