import { create } from "@bufbuild/protobuf";
import { durationMs, timestampFromDate } from "@bufbuild/protobuf/wkt";
import { encodeToken } from "@operator-management/client";
import {
  LinkHealthSchema,
  WatchHealthResponseSchema,
  type LinkHealth,
  type WatchHealthRequest,
  type WatchHealthResponse,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { Catalog } from "../catalog/catalog.ts";
import { linkKey, linkOfKey, type LinkId } from "./subjects.ts";
import type { HealthChange, HealthTracker } from "./tracker.ts";

const DEFAULT_HEARTBEAT_MS = 10_000;
const LINKS_PER_MESSAGE = 200;

/** What health watches read from. */
export interface HealthWatchSources {
  readonly tracker: Pick<HealthTracker, "links" | "of" | "compute" | "subscribe">;
  readonly catalog: Pick<Catalog, "position">;
  readonly now: () => Date;
}

/**
 * All links, then what changes. What a watch still has to send is a set of links, not a queue of messages: however slow its reader, it holds
 * each link once and sends what the link is by then. Changed verdicts go at once; figures alone wait for the heartbeat.
 */
export async function* watchHealth(
  sources: HealthWatchSources,
  request: WatchHealthRequest,
  signal: AbortSignal,
): AsyncGenerator<WatchHealthResponse, void, undefined> {
  const heartbeatMs =
    request.heartbeatInterval === undefined ? DEFAULT_HEARTBEAT_MS : durationMs(request.heartbeatInterval);
  const operators = new Set(request.operatorIds);
  const pending = new Pending(sources.tracker, (operatorId) => operators.size === 0 || operators.has(operatorId));
  try {
    for (const link of sources.tracker.links()) pending.add({ kind: "state", link });
    let complete = false;
    let heartbeatAt = 0;
    for (;;) {
      signal.throwIfAborted();
      const links = pending
        .take(LINKS_PER_MESSAGE)
        .map(([id, operatorId]) => linkHealth(sources, request, id, operatorId));
      const completes: boolean = !complete && !pending.urgent;
      if (links.length > 0 || completes || performance.now() >= heartbeatAt) {
        complete ||= completes;
        yield message(sources, links, completes);
        heartbeatAt = performance.now() + heartbeatMs;
      }
      await pending.next(heartbeatAt - performance.now(), signal);
      if (performance.now() >= heartbeatAt) pending.promote();
    }
  } finally {
    pending.close();
  }
}

/** What a watch still has to send. */
class Pending {
  readonly #urgent = new Map<string, string>();
  readonly #figures = new Map<string, string>();
  readonly #unsubscribe: () => void;
  readonly #matches: (operatorId: string) => boolean;
  #wake: (() => void) | undefined;

  constructor(tracker: Pick<HealthTracker, "subscribe">, matches: (operatorId: string) => boolean) {
    this.#matches = matches;
    this.#unsubscribe = tracker.subscribe((change) => this.add(change));
  }

  get urgent(): boolean {
    return this.#urgent.size > 0;
  }

  add({ kind, link }: HealthChange): void {
    if (!this.#matches(link.operatorId)) return;
    const key = linkKey(link);
    if (kind === "figures") {
      this.#figures.set(key, link.operatorId);
      return;
    }
    this.#urgent.set(key, link.operatorId);
    this.#wake?.();
  }

  /** So many of those that are due, with their operators' ids. */
  take(count: number): [LinkId, string][] {
    const taken = this.#urgent.entries().take(count).toArray();
    for (const [key] of taken) {
      this.#urgent.delete(key);
      this.#figures.delete(key);
    }
    return taken.map(([key, operatorId]) => [linkOfKey(key), operatorId]);
  }

  /** Figures are due too. */
  promote(): void {
    for (const [key, operatorId] of this.#figures) this.#urgent.set(key, operatorId);
    this.#figures.clear();
  }

  /** Resolves when something is due, or after the time; rejects with the signal's reason. */
  async next(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.urgent) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const aborted = (): void => reject(signal.reason);
    const timer = setTimeout(resolve, Math.max(ms, 0));
    signal.addEventListener("abort", aborted);
    this.#wake = resolve;
    try {
      await promise;
    } finally {
      clearTimeout(timer);
      signal.removeEventListener("abort", aborted);
      this.#wake = undefined;
    }
  }

  close(): void {
    this.#unsubscribe();
  }
}

/** The link as it is now. */
function linkHealth(
  { tracker }: HealthWatchSources,
  { includeObservers }: WatchHealthRequest,
  id: LinkId,
  operatorId: string,
): LinkHealth {
  const health = includeObservers
    ? tracker.compute(id)?.health
    : tracker.of(operatorId, id.operatorUid, id.connectionId);
  return create(LinkHealthSchema, { ...id, operatorId, ...(health && { health }) });
}

function message(
  { catalog, now }: HealthWatchSources,
  links: LinkHealth[],
  initialComplete: boolean,
): WatchHealthResponse {
  return create(WatchHealthResponseSchema, {
    links,
    initialComplete,
    healthTime: timestampFromDate(now()),
    token: encodeToken(catalog.position),
  });
}
