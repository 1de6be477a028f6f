import { collectDefaultMetrics, Gauge, type Registry } from "prom-client";
import type { Catalog } from "./catalog/catalog.ts";
import type { Tail } from "./catalog/tail.ts";
import type { Fleet, FleetSummary } from "./fleet/fleet.ts";
import type { Watchers } from "./watch/watchers.ts";

/** What the service's own metrics are read from; RED per method comes from the edge. */
export interface MeteredParts {
  readonly catalog: Catalog;
  readonly tail: Tail;
  readonly fleet: Fleet;
  readonly watchers: Watchers;
  readonly version: string;
  readonly profile: string;
}

/** Registers the metrics of process, catalog, watches and fleet. Values are read when they are scraped, so nobody has to keep them up to date. */
export function registerServiceMetrics(registry: Registry, parts: MeteredParts): void {
  const { catalog, tail, fleet, watchers } = parts;
  collectDefaultMetrics({ register: registry });
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
  new Gauge({
    name: "ops_build_info",
    help: "Always 1; the labels say what runs.",
    labelNames: ["version", "node", "profile"],
    registers: [registry],
  }).set({ version: parts.version, node: process.version, profile: parts.profile }, 1);
  gauge("ops_catalog_revision", "Revision that the catalog is at.", () =>
    catalog.loaded ? Number(catalog.position.revision) : 0,
  );
  gauge("ops_catalog_age_seconds", "How long the primary has not been reachable; 0 while it is.", () =>
    catalog.staleSince === undefined ? 0 : (Date.now() - catalog.staleSince.getTime()) / 1_000,
  );
  gauge("ops_catalog_operators", "Live operators in the catalog.", () => catalog.size);
  gauge("ops_catalog_bytes", "Encoded size of the catalog's operators.", () => catalog.bytes);
  gauge("ops_catalog_loads", "Full loads of the catalog since the start, the first one included.", () => tail.loads);
  gauge("ops_catalog_poll_failures", "Polls of the primary that failed since the start.", () => tail.failures);
  gauge("ops_watchers", "Open watch streams.", () => watchers.size);
  new Gauge({
    name: "ops_watches_ended",
    help: "Watch streams that have ended since the start, by reason; CANCELLED where the client went away.",
    labelNames: ["reason"],
    registers: [registry],
    collect() {
      for (const [reason, count] of watchers.ended) this.set({ reason }, count);
    },
  });
  const summary = (): FleetSummary => {
    const { loaded } = catalog;
    return loaded ? fleet.summary(catalog.position) : { nodes: 0, maxRevisionsBehind: 0, rejectedConnections: 0 };
  };
  gauge("ops_fleet_nodes", "Nodes that reported within the last minute.", () => summary().nodes);
  gauge(
    "ops_fleet_max_revisions_behind",
    "Revisions that the node furthest behind still has to apply.",
    () => summary().maxRevisionsBehind,
  );
  gauge(
    "ops_fleet_rejected_connections",
    "Connections whose configuration a node refused.",
    () => summary().rejectedConnections,
  );
}
