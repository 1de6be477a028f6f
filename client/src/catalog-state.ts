import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import type { Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { OperatorEvent } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { CatalogError } from "./catalog-error.ts";
import { ChangeFeed } from "./change-feed.ts";
import { deepFreeze } from "./deep-freeze.ts";
import { isSameStore, positionOf } from "./position.ts";
import { RecentRevisions } from "./recent-revisions.ts";
import { isSame, revisionEvents, touchedBetween, type Operators, type Revision, type Touched } from "./revision.ts";
import type { ResyncReason } from "./reconnect.ts";

/** Names a connection. */
export interface ConnectionRef {
  readonly operatorId: string;
  readonly connectionId: string;
}

/** A connection with the operator that it belongs to; frozen. */
export interface CatalogConnection extends ConnectionRef {
  readonly operator: Operator;
  readonly connection: Connection;
}

/** What a catalog holds, and who follows it. Every change is a new map: whoever has the old one keeps a consistent state. */
export class CatalogState {
  #operators: Operators = new Map();
  #token = "";
  #connections: readonly CatalogConnection[] | undefined;
  #closed: CatalogError | undefined;
  readonly #recent = new RecentRevisions();
  readonly #feeds = new Set<ChangeFeed>();

  get token(): string {
    return this.#token;
  }

  get operators(): Operators {
    return this.#operators;
  }

  get connections(): readonly CatalogConnection[] {
    this.#connections ??= Object.freeze(
      [...this.#operators.keys()].sort().flatMap((id) => connectionsOf(this.#operators.get(id))),
    );
    return this.#connections;
  }

  connection(ref: ConnectionRef | string): CatalogConnection | undefined {
    const { operatorId, connectionId } = typeof ref === "string" ? parseRef(ref) : ref;
    const operator = this.#operators.get(operatorId);
    if (operator === undefined || !Object.hasOwn(operator.connections, connectionId)) return undefined;
    const connection = operator.connections[connectionId];
    return connection === undefined ? undefined : Object.freeze({ operatorId, connectionId, operator, connection });
  }

  /** All operators at a position; what isn't among them is gone. Throws CatalogError SNAPSHOT_OLD. */
  replace(operators: readonly Operator[], token: string, reason: ResyncReason | undefined): Revision | undefined {
    if (reason !== "HISTORY_CHANGED" && reason !== "TOKEN_FOREIGN") this.#refuseOlder(token);
    const next = new Map<string, Operator>();
    for (const operator of operators) {
      const current = this.#operators.get(operator.id);
      next.set(operator.id, current !== undefined && isSame(current, operator) ? current : deepFreeze(operator));
    }
    return this.#move(next, touchedBetween(this.#operators, next), token, this.#token !== "");
  }

  /** One revision's changes. */
  apply(events: readonly OperatorEvent[], token: string): Revision | undefined {
    const next = new Map(this.#operators);
    const touched = new Map<string, Operator | undefined>();
    for (const { event } of events) {
      if (event.case === undefined) continue;
      const id = event.value.id;
      if (!touched.has(id)) touched.set(id, this.#operators.get(id));
      if (event.case === "upsert") next.set(id, deepFreeze(event.value));
      else next.delete(id);
    }
    return this.#move(next, touched, token, false);
  }

  /** A position without a change. */
  advance(token: string): void {
    this.#recent.add(positionOf(token), undefined);
    this.#token = token;
  }

  changes(from: string | undefined, signal: AbortSignal | undefined): ChangeFeed {
    const missed = from === undefined || from === this.#token ? [] : this.#after(from);
    const feed = new ChangeFeed(
      () => ({ token: this.#token, operators: this.#operators }),
      (ended) => {
        this.#feeds.delete(ended);
        signal?.removeEventListener("abort", stop);
      },
    );
    const stop = (): void => void feed.return();
    this.#feeds.add(feed);
    signal?.addEventListener("abort", stop);
    if (missed === undefined) {
      feed.startOver(new Map([...this.#operators.keys()].map((id) => [id, undefined])));
    } else {
      for (const { revision, touched } of missed) feed.push(revision, touched);
    }
    if (signal?.aborted === true) stop();
    if (this.#closed !== undefined) feed.end(this.#closed);
    return feed;
  }

  close(error: CatalogError): void {
    this.#closed = error;
    for (const feed of [...this.#feeds]) feed.end(error);
  }

  #after(from: string): { revision: Revision; touched: Touched }[] | undefined {
    // The empty token is the one that a catalog has before its first configuration.
    return from === "" ? undefined : this.#recent.after(positionOf(from));
  }

  #move(operators: Operators, touched: Touched, token: string, resync: boolean): Revision | undefined {
    const position = positionOf(token);
    const events = revisionEvents(touched, operators);
    this.#operators = operators;
    this.#token = token;
    this.#connections = undefined;
    const changed = events.length > 0;
    const revision: Revision = Object.freeze({ token, resync, events: Object.freeze(events) });
    this.#recent.add(position, changed ? { revision, touched } : undefined);
    if (!changed) return undefined;
    for (const feed of [...this.#feeds]) feed.push(revision, touched);
    return revision;
  }

  #refuseOlder(token: string): void {
    if (this.#token === "") return;
    const [mine, offered] = [positionOf(this.#token), positionOf(token)];
    if (!isSameStore(mine, offered) || offered.revision >= mine.revision) return;
    throw new CatalogError("SNAPSHOT_OLD", "the server offers a state older than the one at hand");
  }
}

function connectionsOf(operator: Operator | undefined): CatalogConnection[] {
  if (operator === undefined) return [];
  return Object.entries(operator.connections)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([connectionId, connection]) =>
      Object.freeze({ operatorId: operator.id, connectionId, operator, connection }),
    );
}

function parseRef(ref: string): ConnectionRef {
  const [operatorId = "", connectionId = ""] = ref.split("/");
  return { operatorId, connectionId };
}
