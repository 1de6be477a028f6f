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
import type { HealthTracker, TrackedLink } from "./tracker.ts";

const DEFAULT_HEARTBEAT_MS = 10_000;
const LINKS_PER_MESSAGE = 200;

/** What health watches read from. */
export interface HealthWatchSources {
  readonly tracker: Pick<HealthTracker, "version" | "links" | "healthOf" | "compute" | "subscribe">;
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
  const { tracker } = sources;
  const heartbeatMs =
    request.heartbeatInterval === undefined ? DEFAULT_HEARTBEAT_MS : durationMs(request.heartbeatInterval);
  const operators = new Set(request.operatorIds);
  const pending = new Pending(tracker, ({ operatorId }) => operators.size === 0 || operators.has(operatorId));
  try {
    let told = tracker.version;
    for (const link of tracker.links()) pending.add(link);
    let complete = false;
    let heartbeatAt = 0;
    for (;;) {
      signal.throwIfAborted();
      const links = pending.take(LINKS_PER_MESSAGE).map((link) => linkHealth(sources, request, link));
      const completes: boolean = !complete && !pending.some;
      if (links.length > 0 || completes || performance.now() >= heartbeatAt) {
        complete ||= completes;
        yield message(sources, links, completes);
        heartbeatAt = performance.now() + heartbeatMs;
      }
      await pending.next(heartbeatAt - performance.now(), signal);
      if (performance.now() < heartbeatAt) continue;
      const since = told;
      told = tracker.version;
      for (const link of tracker.links(since)) pending.add(link);
    }
  } finally {
    pending.close();
  }
}

type NamedLink = Omit<TrackedLink, "health">;

/** What a watch still has to send. */
class Pending {
  readonly #links = new Map<string, NamedLink>();
  readonly #unsubscribe: () => void;
  readonly #matches: (link: NamedLink) => boolean;
  #wake: (() => void) | undefined;

  constructor(tracker: Pick<HealthTracker, "subscribe">, matches: (link: NamedLink) => boolean) {
    this.#matches = matches;
    this.#unsubscribe = tracker.subscribe(({ kind, link }) => {
      if (kind !== "figures") this.add(link);
    });
  }

  get some(): boolean {
    return this.#links.size > 0;
  }

  add(link: NamedLink): void {
    if (!this.#matches(link)) return;
    this.#links.set(link.key, link);
    this.#wake?.();
  }

  /** So many of them. */
  take(count: number): NamedLink[] {
    const taken = this.#links.values().take(count).toArray();
    for (const { key } of taken) this.#links.delete(key);
    return taken;
  }

  /** Resolves when there is something to send, or after the time; rejects with the signal's reason. */
  async next(ms: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    if (this.some) return;
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
  { operatorUid, operatorId, connectionId }: NamedLink,
): LinkHealth {
  const link = { operatorUid, connectionId };
  const health = includeObservers ? tracker.compute(link)?.health : tracker.healthOf(link);
  return create(LinkHealthSchema, { operatorUid, connectionId, operatorId, ...(health && { health }) });
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
