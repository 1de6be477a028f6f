import { setImmediate } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import type { ServiceImpl } from "@connectrpc/connect";
import { explainLines, type HealthView } from "@operator-management/client";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  ExplainRoutesResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  ResolveRoutesResponseSchema,
  type OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { RouteQuerySchema, type RouteQuery, type RouteResult } from "@operator-management/contract/ops/v1/route_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { readAt, readPoint } from "../catalog/consistency.ts";
import { fieldInvalid, opsError } from "../rpc/errors.ts";
import { MAX_REPLY_BYTES } from "../rpc/paging.ts";
import { replyBytes } from "./reply-bytes.ts";
import type { Reading, RouteTable } from "./route-table.ts";

/** Each looks at every link there is. */
const MAX_EXPLAINED = 20;
/** How long a call works in one go, in milliseconds. */
const SLICE_MS = 10;

export interface RouteDeps {
  readonly catalog: Catalog;
  readonly routes: RouteTable;
  readonly health: HealthView;
  readonly now: () => Date;
}

/** Routes from memory alone. */
export function resolveRoutesHandlers({ catalog, routes, health, now }: RouteDeps): {
  readonly mesh: Pick<ServiceImpl<typeof OperatorService>, "resolveRoutes">;
  readonly admin: Pick<ServiceImpl<typeof OperatorAdminService>, "explainRoutes">;
} {
  const headOf = ({ position }: Reading, time: Date) => {
    const { token, staleSince } = readPoint({ position, staleSince: catalog.staleSince });
    return { token, healthTime: timestampFromDate(time), ...(staleSince && { staleSince }) };
  };
  return {
    mesh: {
      async resolveRoutes({ queries, consistency }, { signal }) {
        refuseManyExplanations(queries);
        await readAt(catalog, consistency, "minimize_latency", signal);
        return routes.read(async (reading) => {
          const time = now();
          const results = await inSlices(queries, (query) => reading.index.resolve(query, health, time), signal);
          return create(ResolveRoutesResponseSchema, { results, ...headOf(reading, time) });
        }, signal);
      },
    },
    admin: {
      async explainRoutes({ query = create(RouteQuerySchema), consistency }, { signal }) {
        await readAt(catalog, consistency, "fully_consistent", signal);
        return routes.read(async (reading) => {
          const time = now();
          const result = reading.index.resolve({ ...query, explain: true }, health, time);
          return create(ExplainRoutesResponseSchema, { result, lines: explainLines(result), ...headOf(reading, time) });
        }, signal);
      },
    },
  };
}

/** Lets others work between slices. Throws MESSAGE_TOO_LARGE as soon as the reply is, or the signal's reason. */
async function inSlices(
  queries: readonly RouteQuery[],
  resolve: (query: RouteQuery) => RouteResult,
  signal: AbortSignal,
): Promise<RouteResult[]> {
  const results: RouteResult[] = [];
  let bytes = 0;
  let end = performance.now() + SLICE_MS;
  for (const query of queries) {
    if (performance.now() >= end) {
      await setImmediate();
      signal.throwIfAborted();
      end = performance.now() + SLICE_MS;
    }
    const result = resolve(query);
    results.push(result);
    bytes += replyBytes(result);
    if (bytes > MAX_REPLY_BYTES) throw replyTooLarge(results.length);
  }
  return results;
}

function replyTooLarge(answered: number): Error {
  return opsError(
    ErrorReason.MESSAGE_TOO_LARGE,
    `the answers to the first ${answered} queries are larger than 3 MiB: give max_routes, or send fewer queries at once`,
    { metadata: { answered: String(answered), limit_bytes: String(MAX_REPLY_BYTES) } },
  );
}

function refuseManyExplanations(queries: readonly RouteQuery[]): void {
  const explained = queries.filter(({ explain }) => explain).length;
  if (explained <= MAX_EXPLAINED) return;
  const description = `${explained} ask for an explanation, at most ${MAX_EXPLAINED} may: leave out explain, or send fewer at once`;
  throw fieldInvalid([{ field: "queries", description }]);
}
