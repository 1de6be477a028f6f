import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type {
  OperatorService,
  WatchHealthRequest,
  WatchHealthResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { overseen } from "../watch/overseen.ts";
import type { OpenWatch, Watchers } from "../watch/watchers.ts";
import { getHealth } from "./read-handlers.ts";
import type { HealthTracker } from "./tracker.ts";
import { watchHealth } from "./watch.ts";

/** What reads and watches of health need. */
export interface HealthDeps {
  readonly tracker: HealthTracker;
  readonly catalog: Catalog;
  readonly watchers: Watchers;
  readonly now: () => Date;
}

/** Health for admins' tools. */
export function adminHealthHandlers(
  deps: HealthDeps,
): Pick<ServiceImpl<typeof OperatorAdminService>, "getHealth" | "watchHealth"> {
  return {
    getHealth: getHealth(deps, "fully_consistent"),
    watchHealth: (request, context) => messages(deps, request, context),
  };
}

/** Health for the mesh. */
export function meshHealthHandlers(
  deps: HealthDeps,
): Pick<ServiceImpl<typeof OperatorService>, "getHealth" | "watchHealth"> {
  return {
    getHealth: getHealth(deps, "minimize_latency"),
    watchHealth: (request, context) => messages(deps, request, context),
  };
}

function messages(
  deps: HealthDeps,
  request: WatchHealthRequest,
  context: Pick<HandlerContext, "signal" | "values">,
): AsyncIterable<WatchHealthResponse> {
  const watch = (open: OpenWatch): AsyncIterable<WatchHealthResponse> => {
    open.progress.inSnapshot = true; // from first to last: a reader that takes nothing for a while loses its place
    return watchHealth(deps, request, open.signal);
  };
  return overseen(deps.watchers, context, watch, (message) => message);
}
