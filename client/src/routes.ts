import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { RouteQuerySchema, type Route, type RouteResult } from "@operator-management/contract/ops/v1/route_pb.js";
import type { OperatorCatalog } from "./catalog.ts";
import type { HealthFollower } from "./health-follower.ts";
import { explainLines } from "./routes/explain-lines.ts";
import type { HealthView } from "./routes/health-view.ts";
import { pick } from "./routes/pick.ts";
import { RouteIndex } from "./routes/route-index.ts";

/** What routes are resolved from. */
export interface RoutesOptions {
  readonly catalog: Pick<OperatorCatalog, "operators" | "status" | "on">;
  /** Without it every link counts as UNKNOWN: all are routed, in the order of the configuration. */
  readonly health?: Pick<HealthFollower, "at" | "status">;
  /** The clock, in milliseconds since 1970. Default: Date.now. */
  readonly now?: () => number;
}

/** The answer to one query, and what it rests on: as ResolveRoutes has it. */
export interface Resolution {
  readonly result: RouteResult;
  /** The position of the configuration. */
  readonly token: string;
  /** The moment for which the service computed the health; undefined: none was received. */
  readonly healthTime: Date | undefined;
  /** Set when the configuration may be old: since when. */
  readonly staleSince: Date | undefined;
}

const NOTHING_KNOWN: HealthView = { of: () => undefined };

/**
 * Says which links carry a message: the rules of the service, in this process. Synchronous, without I/O, and never without an answer because
 * the service is away.
 */
export class Routes implements Disposable {
  readonly #options: RoutesOptions;
  readonly #index = new RouteIndex();
  /** What the index holds. */
  #held: ReadonlyMap<string, Operator> = new Map();
  readonly #stopListening: () => void;

  /** Indexes what the catalog has, and follows it. */
  constructor(options: RoutesOptions) {
    this.#options = options;
    this.#stopListening = options.catalog.on("change", () => this.#advance());
    this.#advance();
  }

  /** The links for a message, best first. */
  resolve(query: MessageInitShape<typeof RouteQuerySchema>): Resolution {
    const { catalog, health, now = Date.now } = this.#options;
    this.#advance();
    const time = new Date(now());
    const { token, staleSince } = catalog.status;
    return {
      result: this.#index.resolve(create(RouteQuerySchema, query), health?.at(time) ?? NOTHING_KNOWN, time),
      token,
      healthTime: health?.status.healthTime,
      staleSince,
    };
  }

  /** The link for one message: by weight among the best. `key` is the message's id, so that all its segments take one link. */
  pick({ result }: Pick<Resolution, "result">, key: string): Route | undefined {
    return pick(result, key);
  }

  /** As `resolve`, with the links that are left out and why, and all of it in words, a line each. */
  explain(query: MessageInitShape<typeof RouteQuerySchema>): Resolution & { readonly lines: readonly string[] } {
    const resolution = this.resolve({ ...create(RouteQuerySchema, query), explain: true });
    return { ...resolution, lines: explainLines(resolution.result) };
  }

  /** Follows the catalog no longer. */
  [Symbol.dispose](): void {
    this.#stopListening();
  }

  /** A catalog's listeners are called in turn, so one may ask before this one was told: what is indexed is compared, not counted. */
  #advance(): void {
    const { operators } = this.#options.catalog;
    if (operators === this.#held) return;
    for (const [id, operator] of operators) if (this.#held.get(id) !== operator) this.#index.upsert(operator);
    for (const id of this.#held.keys()) if (!operators.has(id)) this.#index.remove(id);
    this.#held = operators;
  }
}
