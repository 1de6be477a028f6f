import type { WatchOperatorsRequest } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import { sameBytes } from "../catalog/bytes.ts";
import type { Catalog } from "../catalog/catalog.ts";
import { parseToken } from "../catalog/consistency.ts";
import { foreignToken } from "../catalog/position-errors.ts";
import { parseFilter, type Filter } from "../filter/filter.ts";
import { fieldInvalid } from "../rpc/errors.ts";

const DEFAULT_BOOKMARK_MS = 10_000;

/** Where a watch starts: after a token, with a snapshot, or now. */
export type WatchStart = { readonly kind: "token"; readonly token: Token } | { readonly kind: "snapshot" | "now" };

/** A watch call, understood. */
export interface WatchQuery {
  readonly filter: Filter;
  readonly start: WatchStart;
  /** Longest time between two messages. */
  readonly bookmarkMs: number;
}

/** Understands a watch call. Throws FILTER_INVALID, FIELD_INVALID, TOKEN_FOREIGN, CATALOG_NOT_LOADED. */
export function parseWatchQuery(request: WatchOperatorsRequest, catalog: Pick<Catalog, "position">): WatchQuery {
  const filter = parseFilter(request.filter);
  const { bookmarkInterval: interval } = request;
  const bookmarkMs =
    interval === undefined ? DEFAULT_BOOKMARK_MS : Number(interval.seconds) * 1000 + interval.nanos / 1e6;
  return { filter, start: startOf(request, filter, catalog), bookmarkMs };
}

function startOf(
  { startToken, initialSnapshot }: WatchOperatorsRequest,
  filter: Filter,
  catalog: Pick<Catalog, "position">,
): WatchStart {
  if (startToken === "") return { kind: initialSnapshot ? "snapshot" : "now" };
  const token = parseToken(startToken, "start_token");
  if (!sameBytes(token.store, catalog.position.store)) throw foreignToken();
  if (token.filterHash.length === 0) {
    throw startTokenInvalid(
      "is a write's token, which says nothing about what you have: list, and watch from the list's token",
    );
  }
  if (!sameBytes(token.filterHash, filter.hash)) {
    throw startTokenInvalid(
      "belongs to another filter: send the filter that it was made with, or list with the new one",
    );
  }
  return { kind: "token", token };
}

function startTokenInvalid(description: string): Error {
  return fieldInvalid([{ field: "start_token", description }]);
}
