import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import {
  GetOperatorResponseSchema,
  ListOperatorsResponseSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { findOperator } from "../history/find-operator.ts";
import { readAt, readPoint, type ReadPoint } from "./consistency.ts";
import { PageCollector, parseListQuery, type ListQuery } from "./list-page.ts";
import { operatorNotFound } from "./operator-not-found.ts";
import { readDeletedAndNewer } from "./read-newer.ts";
import { freshnessOf, notFoundYet, readSnapshot, type Freshness, type SnapshotReadDeps } from "./snapshot-read.ts";

/** Reads of live operators from memory, of deleted ones, which memory doesn't hold, from the database. */
export function adminReadHandlers(
  deps: SnapshotReadDeps,
): Pick<ServiceImpl<typeof OperatorAdminService>, "getOperator" | "listOperators"> {
  const { catalog } = deps;
  return {
    async getOperator({ operatorId, consistency }, { signal }) {
      const point = await readAt(catalog, consistency, "fully_consistent", signal);
      const { operator, token, staleSince } = await found(deps, operatorId, point, freshnessOf(consistency, point));
      return create(GetOperatorResponseSchema, { operator, token, ...(staleSince && { staleSince }) });
    },

    async listOperators(request, { signal }) {
      const query = parseListQuery("AdminListOperators", request);
      if (query.from !== undefined) await catalog.waitFor(query.from.first, signal);
      else await readAt(catalog, request.consistency, "fully_consistent", signal);
      const point = readPoint(catalog);
      const freshness = {
        // Laid over what is in memory, so it must be as new; which the token of the first page never is more.
        atLeast: point.position,
        orOlder: query.from !== undefined || freshnessOf(request.consistency, point).orOlder,
      };
      const { collector, staleSince, position } = request.showDeleted
        ? await withDeleted(deps, query, freshness)
        : { ...point, collector: inMemory(deps, query) };
      const page = collector.page({ position });
      return create(ListOperatorsResponseSchema, {
        operators: page.entries.map((entry) => entry.operator),
        nextPageToken: page.nextPageToken,
        token: page.token,
        ...(staleSince && { staleSince }),
      });
    },
  };
}

/** The operator, wherever it is. Throws OPERATOR_NOT_FOUND, and what reads of the database do. */
async function found(deps: SnapshotReadDeps, operatorId: string, point: ReadPoint, freshness: Freshness) {
  const live = deps.catalog.get(operatorId)?.operator;
  if (live !== undefined) return { ...point, operator: live };
  const read = await readSnapshot(deps, freshness, ({ tx }) => findOperator(tx, operatorId));
  const operator = read.value;
  // Memory knows that it isn't live, so what an older snapshot shows as live or not at all has changed since.
  if (read.older && operator?.deleteTime === undefined) throw notFoundYet();
  if (operator === undefined) throw operatorNotFound(operatorId);
  return { ...read, operator };
}

function inMemory({ catalog }: Pick<SnapshotReadDeps, "catalog">, query: ListQuery): PageCollector {
  const collector = new PageCollector(query);
  for (const entry of catalog.snapshot()) collector.add(entry);
  return collector;
}

/** Memory as it is now, with what the database knows besides. */
async function withDeleted(deps: SnapshotReadDeps, query: ListQuery, freshness: Freshness) {
  const { position } = deps.catalog;
  const entries = deps.catalog.snapshot();
  const live = new Set(entries.map(({ id }) => id));
  const { value, older, ...read } = await readSnapshot(deps, freshness, async ({ tx, older }) => {
    const collector = new PageCollector(query);
    const newer = new Set<string>();
    await readDeletedAndNewer(tx, position.revision, (entry) => {
      if (older && live.has(entry.id)) return; // it was undeleted since
      newer.add(entry.id);
      collector.add(entry);
    });
    for (const entry of entries) if (!newer.has(entry.id)) collector.add(entry);
    return collector;
  });
  return { collector: value, staleSince: read.staleSince, position: older ? read.position : position };
}
