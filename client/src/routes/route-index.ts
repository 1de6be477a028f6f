import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  NoRouteReason,
  type ExcludedLink,
  type RouteQuery,
  type RouteResult,
} from "@operator-management/contract/ops/v1/route_pb.js";
import { candidateOf, type Candidate, type Coverage } from "./candidate.ts";
import { denies, packChoice } from "./coverage-choice.ts";
import { entryKey, queryKeys } from "./coverage-key.ts";
import { CoverageTable } from "./coverage-table.ts";
import type { HealthView } from "./health-view.ts";
import { byId, linkOf, type Link } from "./link.ts";
import { rank } from "./ranking.ts";
import { selectionOf, type Selection } from "./selection.ts";

/** How many links an explanation lists at most. */
const MAX_EXCLUDED = 1_000;

/** A link in its place, and the keys under which the table has it. */
interface Place {
  readonly link: Link;
  readonly number: number;
  readonly keys: readonly number[];
}

/**
 * Answers which links carry a message, by the rules of `route.proto`. Holds what the rules need of each operator, in some 30 bytes per coverage
 * entry, and nothing of the messages that it was given. The same index, query, health and time give the same answer, in any order of updates.
 */
export class RouteIndex {
  readonly #table = new CoverageTable();
  readonly #operators = new Map<string, ReadonlyMap<string, Place>>();
  readonly #places: (Place | undefined)[] = [];
  readonly #freeNumbers: number[] = [];
  #inOrder: readonly Link[] | undefined;

  /** How many links there are. */
  get size(): number {
    return this.#places.length - this.#freeNumbers.length;
  }

  /** Takes an operator as it now is; one that is deleted goes. */
  upsert(operator: Operator): void {
    this.remove(operator.id);
    if (operator.deleteTime !== undefined) return;
    const places = new Map<string, Place>();
    for (const [connectionId, connection] of Object.entries(operator.connections)) {
      const number = this.#freeNumbers.pop() ?? this.#places.length;
      const choices = new Map<number, number>();
      for (const entry of connection.coverage) {
        const key = entryKey(entry);
        if (key === undefined) continue;
        // Each key is there once, as writes check; of what got past them the deny counts, else the first.
        const listed = choices.get(key);
        if (listed === undefined || (entry.deny && !denies(listed))) choices.set(key, packChoice(entry));
      }
      const place = { link: linkOf(operator, connectionId, connection), number, keys: [...choices.keys()] };
      for (const [key, choice] of choices) this.#table.add(key, number, choice);
      this.#places[number] = place;
      places.set(connectionId, place);
    }
    this.#operators.set(operator.id, places);
    this.#inOrder = undefined;
  }

  /** Forgets an operator, if it is there. */
  remove(operatorId: string): void {
    for (const { number, keys } of this.#operators.get(operatorId)?.values() ?? []) {
      for (const key of keys) this.#table.remove(key, number);
      this.#places[number] = undefined;
      this.#freeNumbers.push(number);
    }
    if (this.#operators.delete(operatorId)) this.#inOrder = undefined;
  }

  /** The answer to one query. Never throws; what this version doesn't understand of a query matches nothing. */
  resolve(query: RouteQuery, health: HealthView, now: Date): RouteResult {
    const time = now.getTime();
    const selection = selectionOf(query, (name) => this.#placeOf(name.operatorId, name.connectionId)?.link);
    const coverage = this.#match(query);
    const open: Candidate[] = [];
    const closed: Candidate[] = [];
    for (const [link, covered] of coverage) {
      const candidate = candidateOf(link, covered, selection, health, time);
      (candidate.hard.length === 0 ? open : closed).push(candidate);
    }
    const { routes, spared } = rank(open, query.maxRoutes, time);
    const matched = [...closed, ...spared];
    const { excluded, omitted } = query.explain
      ? this.#explained(matched, coverage, selection, (link) => candidateOf(link, "none", selection, health, time))
      : NOTHING_EXPLAINED;
    return {
      $typeName: "ops.v1.RouteResult",
      routes,
      excluded: [...excluded],
      noRoute: routes.length > 0 ? NoRouteReason.UNSPECIFIED : noRoute(coverage),
      excludedOmitted: omitted,
    };
  }

  #placeOf(operatorId: string, connectionId: string): Place | undefined {
    return this.#operators.get(operatorId)?.get(connectionId);
  }

  /** How the query meets each link that has a matching entry. */
  #match(query: RouteQuery): Map<Link, Coverage> {
    const found = new Map<Link, Coverage>();
    for (const { key, match, specificity } of queryKeys(query)) {
      this.#table.forEach(key, (number, choice) => {
        const link = this.#places[number]?.link;
        if (link === undefined) return;
        if (denies(choice)) found.set(link, "denied");
        // The most specific key comes first.
        else if (!found.has(link)) found.set(link, { choice, match, specificity });
      });
    }
    return found;
  }

  /** The links left out in the order of their ids: of those without coverage as many as there is room for. */
  #explained(
    matched: readonly Candidate[],
    coverage: ReadonlyMap<Link, Coverage>,
    { named }: Selection,
    uncovered: (link: Link) => Candidate,
  ): { excluded: readonly ExcludedLink[]; omitted: number } {
    this.#inOrder ??= this.#places.flatMap((place) => place?.link ?? []).sort(byId);
    const others = this.#inOrder.filter((link) => !coverage.has(link));
    const first = [...matched, ...others.filter((link) => named?.has(link) === true).map(uncovered)];
    first.sort((a, b) => byId(a.link, b.link));
    const rest = others.filter((link) => named?.has(link) !== true);
    const listed = first.slice(0, MAX_EXCLUDED);
    listed.push(...rest.slice(0, MAX_EXCLUDED - listed.length).map(uncovered));
    return {
      excluded: listed.sort((a, b) => byId(a.link, b.link)).map(excludedLink),
      omitted: first.length + rest.length - listed.length,
    };
  }
}

const NOTHING_EXPLAINED = { excluded: [], omitted: 0 } as const;

function noRoute(coverage: ReadonlyMap<Link, Coverage>): NoRouteReason {
  return coverage.size === 0 ? NoRouteReason.NO_COVERAGE : NoRouteReason.ALL_EXCLUDED;
}

function excludedLink({ link, hard, soft }: Candidate): ExcludedLink {
  return {
    $typeName: "ops.v1.ExcludedLink",
    operatorId: link.operatorId,
    connectionId: link.connectionId,
    reasons: [...hard, ...soft],
  };
}
