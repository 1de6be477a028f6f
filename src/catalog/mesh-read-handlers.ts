import { create, type UnknownField } from "@bufbuild/protobuf";
import { WireType } from "@bufbuild/protobuf/wire";
import type { ServiceImpl } from "@connectrpc/connect";
import {
  BatchGetOperatorsResponseSchema,
  GetOperatorResponseSchema,
  ListOperatorsResponseSchema,
  type ListOperatorsRequest,
  type OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { fieldInvalid, type FieldViolation } from "../rpc/errors.ts";
import { MAX_REPLY_BYTES } from "../rpc/paging.ts";
import type { Catalog } from "./catalog.ts";
import { readAt, readPoint } from "./consistency.ts";
import type { CatalogEntry } from "./entry.ts";
import { PageCollector, parseListQuery } from "./list-page.ts";
import { operatorNotFound } from "./operator-not-found.ts";

type Methods = "getOperator" | "batchGetOperators" | "listOperators";

/** Reads from memory alone, in the bytes that history stores: nothing is decoded or encoded. For binary replies only. */
export function meshReadHandlers({
  catalog,
}: {
  readonly catalog: Catalog;
}): Pick<ServiceImpl<typeof OperatorService>, Methods> {
  return {
    async getOperator({ operatorId, consistency }, { signal }) {
      const { token, staleSince } = await readAt(catalog, consistency, "minimize_latency", signal);
      const entry = catalog.get(operatorId);
      if (entry === undefined) throw operatorNotFound(operatorId);
      const reply = create(GetOperatorResponseSchema, { token, ...(staleSince && { staleSince }) });
      reply.$unknown = [encoded(GetOperatorResponseSchema.field.operator.number, entry)];
      return reply;
    },

    async batchGetOperators({ operatorIds, consistency }, { signal }) {
      await readAt(catalog, consistency, "minimize_latency", signal);
      // From here on in one tick, so that all operators are of one revision.
      const { token, staleSince } = readPoint(catalog);
      const reply = create(BatchGetOperatorsResponseSchema, { token, ...(staleSince && { staleSince }) });
      const fields: UnknownField[] = [];
      let bytes = 0;
      for (const id of operatorIds) {
        const entry = catalog.get(id);
        bytes += entry?.delimited.length ?? 0;
        if (entry === undefined) reply.notFoundIds.push(id);
        else if (fields.length > 0 && bytes > MAX_REPLY_BYTES) reply.remainingIds.push(id);
        else fields.push(encoded(BatchGetOperatorsResponseSchema.field.operators.number, entry));
      }
      reply.$unknown = fields;
      return reply;
    },

    async listOperators(request, { signal }) {
      refuseAdminsFields(request);
      const query = parseListQuery("ListOperators", request);
      if (query.from !== undefined) await catalog.waitFor(query.from.first, signal);
      else await readAt(catalog, request.consistency, "minimize_latency", signal);
      const point = readPoint(catalog);
      const collector = new PageCollector(query);
      for (const entry of catalog.snapshot()) collector.add(entry);
      const { entries, nextPageToken, token } = collector.page(point);
      const reply = create(ListOperatorsResponseSchema, {
        nextPageToken,
        token,
        ...(point.staleSince && { staleSince: point.staleSince }),
      });
      const { number } = ListOperatorsResponseSchema.field.operators;
      reply.$unknown = entries.map((entry) => encoded(number, entry));
      return reply;
    },
  };
}

function encoded(fieldNumber: number, entry: CatalogEntry): UnknownField {
  return { no: fieldNumber, wireType: WireType.LengthDelimited, data: entry.delimited };
}

function refuseAdminsFields({ orderBy, showDeleted }: ListOperatorsRequest): void {
  const violations: FieldViolation[] = [];
  const description = "is for admins: leave it out; this service lists live operators in id order";
  if (orderBy !== "") violations.push({ field: "order_by", description });
  if (showDeleted) violations.push({ field: "show_deleted", description });
  if (violations.length > 0) throw fieldInvalid(violations);
}
