import { decodeToken, encodeToken } from "@operator-management/client";
import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import type { ListOperatorsRequest } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { parseFilter, type Filter } from "../filter/filter.ts";
import { decodePageToken, encodePageToken, hashArguments, pageTokenInvalid } from "../rpc/page-token.ts";
import { MAX_REPLY_BYTES, pageSizeOf } from "../rpc/paging.ts";
import type { CatalogEntry } from "./entry.ts";
import { ListOrder, type SortKey } from "./list-order.ts";
import type { ReadPoint } from "./consistency.ts";

/** A list call, understood. */
export interface ListQuery {
  readonly filter: Filter;
  readonly order: ListOrder;
  readonly pageSize: number;
  /** Where this page continues; undefined for the first one. */
  readonly from: { readonly after: SortKey; readonly first: Token } | undefined;
  readonly argumentsHash: Uint8Array;
}

/** Understands a list call. Throws FILTER_INVALID, FIELD_INVALID, PAGE_TOKEN_INVALID. */
export function parseListQuery(method: string, request: ListOperatorsRequest): ListQuery {
  const filter = parseFilter(request.filter);
  const order = new ListOrder(request.orderBy);
  const argumentsHash = hashArguments(method, filter.canonical, order.canonical, String(request.showDeleted));
  const place = decodePageToken(request.pageToken, argumentsHash, 1 + order.length);
  return {
    filter,
    order,
    pageSize: pageSizeOf(request.pageSize),
    from: place && continuation(place, order),
    argumentsHash,
  };
}

function continuation([firstToken = "", ...key]: readonly string[], order: ListOrder): ListQuery["from"] {
  const first = decodeToken(firstToken);
  const after = order.parse(key);
  if (first !== undefined && after !== undefined) return { first, after };
  throw pageTokenInvalid();
}

/** Gathers a page from operators in any order, holding few more than fit on it. */
export class PageCollector {
  readonly #query: ListQuery;
  #candidates: { readonly key: SortKey; readonly entry: CatalogEntry }[] = [];

  constructor(query: ListQuery) {
    this.#query = query;
  }

  /** Offers an operator: it is kept while it matches, comes after the page before, and may still fit. */
  add(entry: CatalogEntry): void {
    const { filter, order, from, pageSize } = this.#query;
    if (!filter.matches(entry.keys)) return;
    const key = order.keyOf(entry.keys);
    if (from !== undefined && order.compare(key, from.after) <= 0) return;
    this.#candidates.push({ key, entry });
    if (this.#candidates.length > 4 * (pageSize + 1)) this.#prune();
  }

  /** The page, once all were offered; `point` is what the first page was read at. */
  page(point: Pick<ReadPoint, "position">): {
    readonly entries: readonly CatalogEntry[];
    readonly nextPageToken: string;
    readonly token: string;
  } {
    this.#prune();
    const { filter, order, pageSize, from, argumentsHash } = this.#query;
    const token = encodeToken(from?.first ?? point.position, filter.hash);
    let bytes = 0;
    let count = 0;
    for (const { entry } of this.#candidates.slice(0, pageSize)) {
      bytes += entry.delimited.length;
      if (count > 0 && bytes > MAX_REPLY_BYTES) break;
      count++;
    }
    const last = this.#candidates[count - 1];
    const more = last !== undefined && count < this.#candidates.length;
    return {
      entries: this.#candidates.slice(0, count).map(({ entry }) => entry),
      nextPageToken: more ? encodePageToken([token, ...order.print(last.key)], argumentsHash) : "",
      token,
    };
  }

  #prune(): void {
    const { order, pageSize } = this.#query;
    this.#candidates.sort((a, b) => order.compare(a.key, b.key));
    this.#candidates.length = Math.min(this.#candidates.length, pageSize + 1);
  }
}
