import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { decodeToken } from "@operator-management/client";
import { ReportNodeStatusRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { and, eq, lt, lte, sql } from "drizzle-orm";
import type { Logger } from "pino";
import { Flusher } from "../backends/flusher.ts";
import type { Database } from "../db/db.ts";
import { nodeStatus } from "../db/schema.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { SILENT_AFTER_MS, type Fleet, type FleetNode } from "./fleet.ts";

const FLUSH_INTERVAL_MS = 1_000;

/**
 * Keeps node_status in step with the fleet, at most once a second, so that a restarted service shows the fleet at once. While the
 * database is down the fleet goes on in memory.
 */
export class FleetRecorder {
  readonly #db: Database;
  readonly #fleet: Fleet;
  readonly #logger: Pick<Logger, "warn">;
  readonly #flusher: Flusher;
  #failing = false;

  constructor(deps: {
    readonly db: Database;
    readonly fleet: Fleet;
    readonly logger: Pick<Logger, "warn">;
    readonly intervalMs?: number;
  }) {
    this.#db = deps.db;
    this.#fleet = deps.fleet;
    this.#logger = deps.logger;
    this.#flusher = new Flusher({
      flush: () => this.#flush(),
      intervalMs: deps.intervalMs ?? FLUSH_INTERVAL_MS,
      onError: (error) => this.#noteFailure(error),
    });
  }

  /** Brings back the nodes that reported shortly before `now` and removes the rows of the others. */
  async restore(now: Date): Promise<void> {
    const oldest = timestampFromDate(new Date(now.getTime() - SILENT_AFTER_MS));
    await this.#db.delete(nodeStatus).where(lt(nodeStatus.reportTime, oldest));
    const rows = await this.#db.select().from(nodeStatus);
    this.#fleet.restore(rows.map(nodeOf));
  }

  /** There are new reports. */
  wake(): void {
    this.#flusher.wake();
  }

  async close(): Promise<void> {
    await this.#flusher.close();
  }

  async #flush(): Promise<void> {
    for (const node of this.#fleet.unsaved()) {
      await (node.left ? this.#remove(node) : this.#save(node));
      this.#fleet.markSaved(node);
    }
    // A row that outlives its node because this fails is removed at the next start.
    for (const node of this.#fleet.forgetSilent()) await this.#remove(node);
    this.#failing = false;
  }

  async #save(node: FleetNode): Promise<void> {
    const { epoch, report } = node;
    const values = { epoch, report, reportTime: timestampFromDate(node.reportTime) };
    await this.#db
      .insert(nodeStatus)
      .values({ namespace: node.namespace, node: node.node, ...values })
      .onConflictDoUpdate({
        target: [nodeStatus.namespace, nodeStatus.node],
        set: values,
        // Another replica may have had a later report of this node.
        setWhere: sql`${nodeStatus.reportTime} <= excluded.report_time`,
      });
  }

  async #remove(node: FleetNode): Promise<void> {
    await this.#db
      .delete(nodeStatus)
      .where(
        and(
          eq(nodeStatus.namespace, node.namespace),
          eq(nodeStatus.node, node.node),
          lte(nodeStatus.reportTime, timestampFromDate(node.reportTime)),
        ),
      );
  }

  #noteFailure(error: unknown): void {
    if (this.#failing) return; // once per outage
    this.#failing = true;
    this.#logger.warn({ err: typedDatabaseError(error) }, "node reports stay in memory: storing them failed");
  }
}

function nodeOf(row: typeof nodeStatus.$inferSelect): FleetNode {
  const { namespace, node, epoch, report } = row;
  const request = fromBinary(ReportNodeStatusRequestSchema, report);
  return {
    namespace,
    node,
    epoch,
    report,
    applied: decodeToken(request.appliedToken),
    rejected: request.rejected.length,
    reportTime: timestampDate(row.reportTime),
    left: false,
  };
}
