import type { ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Logger } from "pino";
import type { Registry } from "prom-client";
import type { Bus } from "../backends/bus/bus.ts";
import type { Cache } from "../backends/cache/cache.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { ClosingStack } from "../closing-stack.ts";
import type { OpenDatabase } from "../db/db.ts";
import type { Watchers } from "../watch/watchers.ts";
import { adminHealthHandlers, meshHealthHandlers } from "./handlers.ts";
import { registerHealthMetrics } from "./metrics.ts";
import { TransitionRecorder } from "./recorder.ts";
import { consumeReports } from "./report-consumer.ts";
import { reportHealthHandler } from "./report-handler.ts";
import { ReportMirror } from "./report-mirror.ts";
import { HealthTracker } from "./tracker.ts";
import { storeTransitions } from "./transition-writer.ts";
import { transitionsHandler } from "./transitions-handler.ts";

/** How long a start waits for the bus to tell the latest reports before it takes their copies. */
const PATIENCE_MS = 2_000;
/** How long it takes copies for. */
const LOAD_PATIENCE_MS = 5_000;

/** What the health part stands on. */
export interface HealthPartDeps {
  readonly bus: Bus;
  readonly cache: Cache;
  readonly database: OpenDatabase;
  readonly catalog: Catalog;
  readonly watchers: Watchers;
  /** Whether the fleet knows a node of this name. */
  readonly knownNodes: Pick<ReadonlySet<string>, "has">;
  /** Told of each report once, by whichever process it wakes. */
  readonly onReport: (report: HealthReport) => void;
  readonly registry: Registry;
  readonly logger: Pick<Logger, "info" | "warn" | "error">;
  readonly now: () => Date;
}

type AdminMethods = "getHealth" | "watchHealth" | "listHealthTransitions";
type MeshMethods = "getHealth" | "watchHealth" | "reportHealth";

/** The health of links, running. */
export interface HealthPart {
  readonly tracker: HealthTracker;
  readonly admin: Pick<ServiceImpl<typeof OperatorAdminService>, AdminMethods>;
  readonly mesh: Pick<ServiceImpl<typeof OperatorService>, MeshMethods>;
  /** Resolves once the latest reports are known as far as they can be; to be called when the catalog is loaded. Never rejects. */
  caughtUp(): Promise<void>;
  close(): Promise<void>;
}

/** Follows reports, records and stores what they change, and answers for it. */
export function startHealth(deps: HealthPartDeps): HealthPart {
  const { bus, cache, database, catalog, watchers, registry, logger, now } = deps;
  const closing = new ClosingStack();
  const tracker = new HealthTracker(deps);
  closing.push("the tracker", () => tracker.close());
  const recorder = new TransitionRecorder({ bus, tracker, catalog, logger, now });
  closing.push("the recorder", () => recorder.close());
  const mirror = new ReportMirror({ cache, now });
  closing.push("the mirror", () => mirror.close());
  const consumer = consumeReports({
    bus,
    tracker,
    recorder,
    onReport: (report, message) => {
      mirror.put(message);
      deps.onReport(report);
    },
  });
  closing.push("the consumer of reports", () => consumer.close());
  const writer = storeTransitions({ bus, db: database.db, logger, now });
  closing.push("the writer of transitions", () => writer.close());
  registerHealthMetrics(registry, { tracker, recorder });
  const reading = { tracker, catalog, watchers, now };
  return {
    tracker,
    admin: { ...adminHealthHandlers(reading), ...transitionsHandler({ database }) },
    mesh: { ...meshHealthHandlers(reading), ...reportHealthHandler({ bus, tracker }) },
    async caughtUp() {
      const late = Promise.withResolvers<"late">();
      const timer = setTimeout(() => late.resolve("late"), PATIENCE_MS);
      const first = await Promise.race([tracker.caughtUp.catch(() => "closed"), late.promise]);
      clearTimeout(timer);
      if (first !== "late") return;
      logger.warn(
        "the bus does not tell the latest health reports: their copies in the cache have to do until it does",
      );
      const uids = catalog.snapshot().map(({ uid }) => uid);
      // Without copies everything is UNKNOWN, and routed all the same.
      await mirror.load(uids, (message) => tracker.takeCopy(message), AbortSignal.timeout(LOAD_PATIENCE_MS));
    },
    close: () => closing.close(),
  };
}
