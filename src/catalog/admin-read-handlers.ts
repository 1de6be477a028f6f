import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  GetOperatorResponseSchema,
  ListOperatorsResponseSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Database } from "../db/db.ts";
import { findOperator } from "../history/find-operator.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import type { Catalog } from "./catalog.ts";
import { readAt, readPoint } from "./consistency.ts";
import { PageCollector, parseListQuery } from "./list-page.ts";
import { operatorNotFound } from "./operator-not-found.ts";
import { readDeletedAndNewer } from "./read-newer.ts";

/** What admins' reads need. */
export interface AdminReadDeps {
  readonly catalog: Catalog;
  /** For deleted operators, which the catalog doesn't hold. */
  readonly db: Database;
}

/** Reads of live operators from memory, of deleted ones from the database. */
export function adminReadHandlers({
  catalog,
  db,
}: AdminReadDeps): Pick<ServiceImpl<typeof OperatorAdminService>, "getOperator" | "listOperators"> {
  return {
    async getOperator({ operatorId, consistency }, { signal }) {
      const { token, staleSince } = await readAt(catalog, consistency, "fully_consistent", signal);
      const operator = catalog.get(operatorId)?.operator ?? (await findDeleted(db, operatorId));
      if (operator === undefined) throw operatorNotFound(operatorId);
      return create(GetOperatorResponseSchema, { operator, token, ...(staleSince && { staleSince }) });
    },

    async listOperators(request, { signal }) {
      const query = parseListQuery("AdminListOperators", request);
      if (query.from !== undefined) await catalog.waitFor(query.from.first, signal);
      else await readAt(catalog, request.consistency, "fully_consistent", signal);
      const point = readPoint(catalog);
      const entries = catalog.snapshot();
      const collector = new PageCollector(query);
      const newer = new Set<string>();
      if (request.showDeleted) {
        await readDeletedAndNewer(db, point.position.revision, (entry) => {
          newer.add(entry.id);
          collector.add(entry);
        });
      }
      for (const entry of entries) if (!newer.has(entry.id)) collector.add(entry);
      const page = collector.page(point);
      return create(ListOperatorsResponseSchema, {
        operators: page.entries.map((entry) => entry.operator),
        nextPageToken: page.nextPageToken,
        token: page.token,
        ...(point.staleSince && { staleSince: point.staleSince }),
      });
    },
  };
}

async function findDeleted(db: Database, operatorId: string): Promise<Operator | undefined> {
  try {
    return await findOperator(db, operatorId);
  } catch (error) {
    throw typedDatabaseError(error);
  }
}
