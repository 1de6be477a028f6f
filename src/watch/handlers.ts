import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type {
  OperatorService,
  WatchOperatorsRequest,
  WatchOperatorsResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { adminMessageOf } from "./admin-frames.ts";
import type { Budget } from "./budget.ts";
import { InternalFrames } from "./internal-frames.ts";
import { overseen } from "./overseen.ts";
import type { WatchFrame } from "./watch-frame.ts";
import { parseWatchQuery } from "./watch-start.ts";
import { watch, type WatchSources } from "./watcher.ts";
import type { OpenWatch, Watchers } from "./watchers.ts";

/** What watches need; the same for admins and the mesh, so that both share frames. */
export interface WatchDeps extends WatchSources {
  /** Places for admins' snapshots: however slowly they read, a connector that starts gets its own. */
  readonly adminSnapshots: Budget;
  readonly watchers: Watchers;
}

/** Watches of admins' tools, in JSON or binary. */
export function adminWatchHandlers(deps: WatchDeps): Pick<ServiceImpl<typeof OperatorAdminService>, "watchOperators"> {
  const sources = { ...deps, snapshots: deps.adminSnapshots };
  return { watchOperators: (request, context) => messages(sources, request, context, adminMessageOf) };
}

/** Watches of the mesh: binary only, in the bytes that history stores. */
export function meshWatchHandlers(
  deps: Omit<WatchDeps, "adminSnapshots">,
): Pick<ServiceImpl<typeof OperatorService>, "watchOperators"> {
  const { messageOf } = new InternalFrames();
  return { watchOperators: (request, context) => messages(deps, request, context, messageOf) };
}

function messages(
  deps: Omit<WatchDeps, "adminSnapshots">,
  request: WatchOperatorsRequest,
  context: Pick<HandlerContext, "signal" | "values">,
  messageOf: (frame: WatchFrame) => WatchOperatorsResponse,
): AsyncIterable<WatchOperatorsResponse> {
  const query = parseWatchQuery(request, deps.catalog);
  const frames = (open: OpenWatch) => watch(deps, query, open.progress, open.signal);
  return overseen(deps.watchers, context, frames, messageOf);
}
