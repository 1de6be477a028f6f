import { timestampDate } from "@bufbuild/protobuf/wkt";
import type { ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import type { LinkHealth, WatchHealthResponse } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { deepFreeze } from "../deep-freeze.ts";
import type { HealthView } from "../routes/health-view.ts";
import { aged } from "./aged.ts";

/** The links' health as last heard, by operator uid and connection. */
export class HealthTable {
  readonly #staleAfterMs: number;
  #links = new Map<string, ConnectionHealth>();
  /** A snapshot that is under way; undefined outside of one. */
  #next: Map<string, ConnectionHealth> | undefined;
  #complete = false;
  #heardAt: number | undefined;
  #healthTime: Date | undefined;
  #aged = new WeakMap<ConnectionHealth, ConnectionHealth>();

  constructor(staleAfterMs: number) {
    this.#staleAfterMs = staleAfterMs;
  }

  /** Whether a whole snapshot was ever taken. */
  get isComplete(): boolean {
    return this.#complete;
  }

  /** The moment for which the service computed what is held. */
  get healthTime(): Date | undefined {
    return this.#healthTime;
  }

  get heardAt(): number | undefined {
    return this.#heardAt;
  }

  /** A new stream begins with a snapshot; until it is complete what is held stays. */
  begin(): void {
    this.#next = new Map();
  }

  take({ links, initialComplete, healthTime }: WatchHealthResponse, now: number): void {
    this.#heardAt = now;
    const into = this.#next ?? this.#links;
    for (const link of links) put(into, link);
    if (initialComplete && this.#next !== undefined) {
      this.#links = this.#next;
      this.#next = undefined;
      this.#complete = true;
    }
    if (this.#next === undefined && healthTime !== undefined) this.#healthTime = timestampDate(healthTime);
    this.#aged = new WeakMap();
  }

  /** Since when what is held is too old to be believed; undefined: it isn't. */
  staleSince(now: number): Date | undefined {
    if (this.#heardAt === undefined || now - this.#heardAt < this.#staleAfterMs) return undefined;
    return new Date(this.#heardAt + this.#staleAfterMs);
  }

  /** What is known at a moment; it does not change while a query is resolved. */
  at(now: number): HealthView {
    const links = this.#links;
    const stale = this.staleSince(now);
    return {
      of: (_operatorId, operatorUid, connectionId) => {
        const health = links.get(keyOf(operatorUid, connectionId));
        return health === undefined || stale === undefined ? health : this.#agedOf(health, stale.getTime());
      },
    };
  }

  #agedOf(health: ConnectionHealth, since: number): ConnectionHealth {
    let old = this.#aged.get(health);
    if (old === undefined) {
      old = deepFreeze(aged(health, since));
      this.#aged.set(health, old);
    }
    return old;
  }
}

function put(links: Map<string, ConnectionHealth>, { operatorUid, connectionId, health }: LinkHealth): void {
  const key = keyOf(operatorUid, connectionId);
  if (health === undefined) links.delete(key);
  else links.set(key, deepFreeze(health));
}

function keyOf(operatorUid: string, connectionId: string): string {
  return `${operatorUid}/${connectionId}`;
}
