import type { LinkName, RouteQuery } from "@operator-management/contract/ops/v1/route_pb.js";
import type { Link } from "./link.ts";

/** A query with the links that it names. */
export interface Selection {
  readonly query: RouteQuery;
  /** Those in `only`, as far as they exist; undefined when it is empty. */
  readonly named: ReadonlySet<Link> | undefined;
  readonly excluded: ReadonlySet<Link>;
}

const NONE: ReadonlySet<Link> = new Set();

/** Looks up what the query names. */
export function selectionOf(query: RouteQuery, find: (name: LinkName) => Link | undefined): Selection {
  const linksOf = (names: readonly LinkName[]): ReadonlySet<Link> =>
    names.length === 0 ? NONE : new Set(names.map(find).filter((link) => link !== undefined));
  return {
    query,
    named: query.only.length === 0 ? undefined : linksOf(query.only),
    excluded: linksOf(query.exclude),
  };
}
