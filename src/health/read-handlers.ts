import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { HandlerContext } from "@connectrpc/connect";
import { encodeToken } from "@operator-management/client";
import {
  OperatorHealthSchema,
  type ConnectionHealth,
  type OperatorHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";
import {
  GetHealthResponseSchema,
  type GetHealthRequest,
  type GetHealthResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { readAt, readPoint, type DefaultConsistency } from "../catalog/consistency.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import { decodePageToken, encodePageToken, hashArguments } from "../rpc/page-token.ts";
import { MAX_REPLY_BYTES, pageSizeOf } from "../rpc/paging.ts";
import type { HealthTracker } from "./tracker.ts";

/** With every observer's view, which is computed for the page alone. */
const MOST_WITH_OBSERVERS = 100;

/** What reads of health need. */
export interface HealthReadDeps {
  readonly tracker: Pick<HealthTracker, "healthOf" | "compute">;
  readonly catalog: Catalog;
  readonly now: () => Date;
}

/** GetHealth for either service: they differ in what freshness of the configuration holds by default. */
export function getHealth(
  deps: HealthReadDeps,
  byDefault: DefaultConsistency,
): (request: GetHealthRequest, context: Pick<HandlerContext, "signal">) => Promise<GetHealthResponse> {
  const { catalog } = deps;
  return async (request, { signal }) => {
    const { operatorIds, includeObservers, pageToken, consistency } = request;
    const hash = hashArguments("GetHealth", String(includeObservers), ...operatorIds);
    const after = decodePageToken(pageToken, hash, 1)?.[0];
    await readAt(catalog, consistency, byDefault, signal);
    // From here on in one tick, so that all operators are of one revision.
    const { token, staleSince } = readPoint(catalog);
    const { entries, notFound } = wanted(catalog, operatorIds);
    const page = pageOf(deps, entries, {
      after,
      size: Math.min(pageSizeOf(request.pageSize), includeObservers ? MOST_WITH_OBSERVERS : Infinity),
      includeObservers,
    });
    return create(GetHealthResponseSchema, {
      operators: page.operators,
      nextPageToken: page.last === undefined ? "" : encodePageToken([page.last], hash),
      notFoundIds: notFound,
      token,
      ...(staleSince && { staleSince }),
    });
  };
}

function wanted(catalog: Catalog, ids: readonly string[]) {
  if (ids.length === 0) return { entries: catalog.snapshot(), notFound: [] };
  const entries = ids.map((id) => catalog.get(id)).filter((entry) => entry !== undefined);
  return {
    entries: entries.sort((a, b) => (a.id < b.id ? -1 : 1)),
    notFound: ids.filter((id) => catalog.get(id) === undefined),
  };
}

/** A page, and the id of its last operator if there are more. */
function pageOf(
  deps: HealthReadDeps,
  entries: readonly CatalogEntry[],
  options: { readonly after: string | undefined; readonly size: number; readonly includeObservers: boolean },
): { readonly operators: OperatorHealth[]; readonly last: string | undefined } {
  const operators: OperatorHealth[] = [];
  let bytes = 0;
  for (const entry of entries) {
    if (options.after !== undefined && entry.id <= options.after) continue;
    if (operators.length === options.size) return { operators, last: operators.at(-1)?.operatorId };
    const health = healthOf(deps, entry, options.includeObservers);
    bytes += toBinary(OperatorHealthSchema, health).length;
    if (operators.length > 0 && bytes > MAX_REPLY_BYTES) return { operators, last: operators.at(-1)?.operatorId };
    operators.push(health);
  }
  return { operators, last: undefined };
}

function healthOf({ tracker, catalog, now }: HealthReadDeps, entry: CatalogEntry, observers: boolean): OperatorHealth {
  const connections: Record<string, ConnectionHealth> = {};
  for (const connectionId of Object.keys(entry.operator.connections)) {
    const link = { operatorUid: entry.uid, connectionId };
    const health = observers ? tracker.compute(link)?.health : tracker.healthOf(link);
    if (health !== undefined) connections[connectionId] = health;
  }
  return create(OperatorHealthSchema, {
    operatorId: entry.id,
    operatorUid: entry.uid,
    connections,
    healthTime: timestampFromDate(now()),
    token: encodeToken(catalog.position),
  });
}
