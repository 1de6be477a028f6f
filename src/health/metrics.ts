import { OperationalStateSchema, type OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { Gauge, type Registry } from "prom-client";
import type { TransitionRecorder } from "./recorder.ts";
import type { HealthTracker } from "./tracker.ts";

/** Registers the metrics of links' health. Counts by state, not a series per link: a link's own story is told by GetHealth. */
export function registerHealthMetrics(
  registry: Registry,
  { tracker, recorder }: { readonly tracker: HealthTracker; readonly recorder: TransitionRecorder },
): void {
  new Gauge({
    name: "ops_links",
    help: "Live links by operational state, as this replica computes it.",
    labelNames: ["state"],
    registers: [registry],
    collect() {
      const counts = new Map<OperationalState, number>();
      for (const { health } of tracker.links()) counts.set(health.state, (counts.get(health.state) ?? 0) + 1);
      for (const value of OperationalStateSchema.values) {
        if (value.number === 0) continue;
        this.set({ state: value.localName }, counts.get(value.number) ?? 0);
      }
    },
  });
  gauge("ops_links_alerting", "Live links in a bad state for longer than their policy's alert_hold.", () =>
    tracker.links().reduce((sum, { health }) => sum + (health.alerting ? 1 : 0), 0),
  );
  gauge("ops_health_reports", "Health reports read from the bus since the start.", () => tracker.counts.reports);
  gauge(
    "ops_health_reports_ignored",
    "Of these, reports that said nothing new or could not be read.",
    () => tracker.counts.ignored,
  );
  gauge(
    "ops_health_transitions_recorded",
    "Transitions recorded by this replica since the start.",
    () => recorder.recorded,
  );

  gauge(
    "ops_health_transitions_waiting",
    "Links whose state this replica may have to record still.",
    () => recorder.waiting,
  );

  function gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [registry],
      collect() {
        this.set(read());
      },
    });
  }
}
