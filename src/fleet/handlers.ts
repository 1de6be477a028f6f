import { create } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { encodeToken, type Position } from "@operator-management/client";
import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  GetFleetStatusResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  ReportNodeStatusResponseSchema,
  type ConnectionBinds,
  type OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Logger } from "pino";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { parseToken } from "../catalog/consistency.ts";
import { foreignToken } from "../catalog/position-errors.ts";
import { callerOf, type Caller } from "../rpc/caller.ts";
import { fieldInvalid } from "../rpc/errors.ts";
import type { Fleet, ReportOutcome } from "./fleet.ts";
import type { FleetRecorder } from "./fleet-recorder.ts";
import { nodeStatuses } from "./messages.ts";

const REPORT_INTERVAL_MS = 5_000;
/** What the database can hold. */
const MAX_EPOCH = 2n ** 63n - 1n;
const COMPLAIN_EVERY_MS = 60_000;

/** What the handlers need. */
export interface FleetDeps {
  readonly fleet: Fleet;
  readonly recorder: Pick<FleetRecorder, "wake" | "refresh">;
  readonly catalog: Pick<Catalog, "position">;
  readonly logger: Pick<Logger, "warn">;
  readonly now: () => Date;
  /** Takes the binds of a connector's report that is not an earlier run's. */
  readonly onBinds?: (of: ConnectionBinds, node: string) => void;
}

/** Nodes' reports. Kept in memory; whether they can be stored is no concern of the caller. */
export function nodeReportHandlers(deps: FleetDeps): Pick<ServiceImpl<typeof OperatorService>, "reportNodeStatus"> {
  const complain = complainer(deps);
  return {
    async reportNodeStatus(request, context) {
      const { position } = deps.catalog;
      if (request.epoch > MAX_EPOCH) {
        throw fieldInvalid([
          { field: "epoch", description: `must be at most ${MAX_EPOCH}; milliseconds since 1970 will do` },
        ]);
      }
      const applied = ownToken(request.appliedToken, "applied_token", position);
      request.rejected.forEach(({ token }, index) => ownToken(token, `rejected[${index}].token`, position));

      const namespace = namespaceOf(callerOf(context));
      const outcome = deps.fleet.report(namespace, request, applied);
      complain(outcome, request.node);
      deps.recorder.wake();
      if (outcome !== "IGNORED" && namespace === "smpp-connector") {
        for (const each of request.connections) deps.onBinds?.(each, request.node);
      }
      return create(ReportNodeStatusResponseSchema, {
        token: encodeToken(position),
        reportInterval: durationFromMs(REPORT_INTERVAL_MS),
      });
    },
  };
}

/** The fleet as admins see it: what any replica of the service heard, up to a second ago; while the database is away, what this one did. */
export function fleetStatusHandlers({
  fleet,
  recorder,
  catalog,
  now,
}: Pick<FleetDeps, "fleet" | "recorder" | "catalog" | "now">): Pick<
  ServiceImpl<typeof OperatorAdminService>,
  "getFleetStatus"
> {
  return {
    async getFleetStatus() {
      await recorder.refresh();
      const { position } = catalog;
      return create(GetFleetStatusResponseSchema, {
        nodes: nodeStatuses(fleet.nodes(), position, now()),
        token: encodeToken(position),
      });
    },
  };
}

/** A token of this store; undefined for none. @throws FIELD_INVALID, TOKEN_FOREIGN */
function ownToken(text: string, field: string, { store }: Position): Token | undefined {
  if (text === "") return undefined;
  const token = parseToken(text, field);
  if (!sameBytes(token.store, store)) throw foreignToken();
  return token;
}

/** A local caller of the embedded profile holds all namespaces; there a node is taken for a connector, which reports the most. */
function namespaceOf({ namespaces }: Caller): string {
  if (namespaces.has("smpp-connector")) return "smpp-connector";
  const [namespace = ""] = namespaces;
  return namespace;
}

/** Says in the log, once a minute at most, that the fleet is larger than what is kept in memory. */
function complainer({
  logger,
  now,
}: Pick<FleetDeps, "logger" | "now">): (outcome: ReportOutcome, node: string) => void {
  let complainedAt = -Infinity;
  return (outcome, node) => {
    if (outcome === "ACCEPTED" || outcome === "IGNORED" || now().getTime() - complainedAt < COMPLAIN_EVERY_MS) return;
    complainedAt = now().getTime();
    const what = outcome === "CUT" ? "without its binds" : "not";
    logger.warn({ node }, `the fleet's reports are too many or too large: a node's report was ${what} kept`);
  };
}
