import { equals } from "@bufbuild/protobuf";
import { ConnectionHealthSchema, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Logger } from "pino";
import type { Bus, BusMessage, Following } from "../backends/bus/bus.ts";
import type { Catalog } from "../catalog/catalog.ts";
import type { CatalogEntry } from "../catalog/entry.ts";
import type { Revision } from "../catalog/revision.ts";
import type { Folded } from "./fold.ts";
import { LatestReports } from "./latest-reports.ts";
import { LinkFolds } from "./link-folds.ts";
import { LiveLinks } from "./live-links.ts";
import { RecordedStates, type RecordedState } from "./recorded-states.ts";
import { linkKey, linkOfKey, type LinkId } from "./subjects.ts";
import { summaryOf } from "./summary.ts";

// Longer than 250 lines because one link's way from a report to whoever is told of it is read from top to bottom.

/** Milliseconds of work between two turns of the event loop. */
const SLICE_MS = 10;
const RECHECK_INTERVAL_MS = 500;
const FORGET_INTERVAL_MS = 60_000;
/** Kinds of links without reports that share their health. */
const MOST_ALIKE = 1_000;

/** A live link and its health, as last computed. */
export interface TrackedLink extends LinkId {
  /** `linkKey` of it. */
  readonly key: string;
  readonly operatorId: string;
  /** Without the observers' own views, which are computed when somebody asks for them. */
  readonly health: ConnectionHealth;
}

/** What became of a link: `state`, another verdict or another set of binds; `figures`, the same with other rates and counts. */
export type HealthChange =
  | { readonly kind: "state" | "figures"; readonly link: TrackedLink }
  | { readonly kind: "removed"; readonly link: Omit<TrackedLink, "health"> };

/** What a tracker needs. */
export interface TrackerDeps {
  readonly bus: Pick<Bus, "follow">;
  readonly catalog: Pick<Catalog, "loaded" | "snapshot" | "subscribe">;
  /** Whether the fleet knows a node of this name. */
  readonly knownNodes: Pick<ReadonlySet<string>, "has">;
  readonly logger: Pick<Logger, "error">;
  readonly now: () => Date;
}

interface Tracked {
  readonly link: TrackedLink;
  readonly summary: string;
  readonly version: number;
  readonly recheckAt: number;
}

/**
 * The health of every live link, in memory: a function of the latest reports, the configuration and the time, computed anew when one of them
 * changes. Follows the streams of reports and of transitions by itself, so that every process has all of it and computes the same.
 */
export class HealthTracker {
  /** Reports taken since the start, and those of them that could not be used. */
  readonly counts = { reports: 0, ignored: 0 };
  /** Resolves when the reports that the bus had at the start were taken; stays open while the bus is away. */
  readonly caughtUp: Promise<void>;
  readonly #deps: TrackerDeps;
  readonly #reports = new LatestReports();
  readonly #states = new RecordedStates();
  readonly #links = new Map<string, Tracked>();
  readonly #live = new LiveLinks();
  readonly #folds: LinkFolds;
  readonly #unobserved = new Map<string, ConnectionHealth>();
  readonly #dirty = new Set<string>();
  readonly #listeners = new Set<(change: HealthChange) => void>();
  readonly #followings: readonly Following[];
  readonly #unsubscribe: () => void;
  readonly #timers: readonly NodeJS.Timeout[];
  #version = 0;
  #turn: NodeJS.Immediate | undefined;
  #positions = { reports: 0, states: 0 };
  #waiting: { readonly reached: () => boolean; readonly resolve: () => void }[] = [];

  constructor(deps: TrackerDeps) {
    this.#deps = deps;
    this.#folds = new LinkFolds({
      ...deps,
      reports: (link) => this.#reports.of(link),
      recorded: (link) => this.#states.of(link),
    });
    const reports = deps.bus.follow("OPS_HEALTH", (message) => this.#takeReport(message));
    const states = deps.bus.follow("OPS_STATE", (message) => this.#takeState(message));
    this.#followings = [states, reports];
    this.caughtUp = Promise.all([reports.caughtUp, states.caughtUp]).then(() => undefined);
    this.caughtUp.catch(() => undefined); // closed before; whoever waits for it hears of it
    this.#unsubscribe = deps.catalog.subscribe((revision) => this.#takeCatalog(revision));
    if (deps.catalog.loaded) this.#takeCatalog(undefined);
    this.#timers = [
      setInterval(() => this.#recheck(), RECHECK_INTERVAL_MS).unref(),
      setInterval(() => this.#reports.forget(deps.now()), FORGET_INTERVAL_MS).unref(),
    ];
  }

  /** As `healthOf`, for routes. */
  of(_operatorId: string, operatorUid: string, connectionId: string): ConnectionHealth | undefined {
    return this.healthOf({ operatorUid, connectionId });
  }

  /** The health of a link as last computed, which is milliseconds ago at most; undefined when there is no such live link. */
  healthOf(link: LinkId): ConnectionHealth | undefined {
    const key = linkKey(link);
    if (!this.#links.has(key)) this.#evaluate(key); // it has just come
    return this.#links.get(key)?.link.health;
  }

  /** Rises with everything that is computed anew. */
  get version(): number {
    return this.#version;
  }

  /** All live links, or those computed anew since a version. */
  links(since = 0): IteratorObject<TrackedLink> {
    const links = this.#links.values();
    return (since === 0 ? links : links.filter(({ version }) => version > since)).map(({ link }) => link);
  }

  /** The link's health computed now, with every observer's view; undefined when there is no such live link, or it can't be computed. */
  compute(link: LinkId): Folded | undefined {
    const entry = this.entryOf(link);
    return entry && this.#folds.fold(entry, link, { withObservers: true });
  }

  /** The operator of a live link. */
  entryOf(link: LinkId): CatalogEntry | undefined {
    return this.#live.entryOf(link);
  }

  /** The link's last recorded transition. */
  recordedOf(link: LinkId): RecordedState | undefined {
    return this.#states.of(link);
  }

  /** A transition that this process recorded: its own copy need not come back over the bus first. */
  noteRecorded(link: LinkId, state: Omit<RecordedState, "reversals">): void {
    if (this.#states.note(link, state)) this.#markDirty(linkKey(link));
  }

  /** Calls `listener` after every change until the returned function is called. It must not throw. */
  subscribe(listener: (change: HealthChange) => void): () => void {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /** Resolves once the stream's message of this sequence, or a later one, was taken; rejects with the signal's reason. */
  async reached(stream: "reports" | "states", sequence: number, signal: AbortSignal): Promise<void> {
    signal.throwIfAborted();
    const reached = (): boolean => this.#positions[stream] >= sequence;
    if (reached()) return;
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const waiting = { reached, resolve };
    const aborted = (): void => reject(signal.reason);
    this.#waiting.push(waiting);
    signal.addEventListener("abort", aborted);
    try {
      await promise;
    } finally {
      signal.removeEventListener("abort", aborted);
      this.#waiting = this.#waiting.filter((other) => other !== waiting);
    }
  }

  async close(): Promise<void> {
    this.#unsubscribe();
    for (const timer of this.#timers) clearInterval(timer);
    clearImmediate(this.#turn);
    for (const following of this.#followings) await following.close();
  }

  /** A report's copy: what the bus brings later, or has brought, counts more. */
  takeCopy(message: BusMessage): void {
    const link = this.#reports.takeCopy(message);
    if (link !== undefined) this.#markDirty(linkKey(link));
  }

  #takeReport(message: BusMessage): void {
    this.counts.reports++;
    const link = this.#reports.take(message);
    if (link === undefined) this.counts.ignored++;
    else this.#markDirty(linkKey(link));
    this.#positions.reports = message.sequence;
    this.#advance();
  }

  #takeState(message: BusMessage): void {
    const link = this.#states.take(message);
    if (link !== undefined) this.#markDirty(linkKey(link));
    this.#positions.states = message.sequence;
    this.#advance();
  }

  #advance(): void {
    for (const { reached, resolve } of this.#waiting) if (reached()) resolve();
  }

  #markDirty(key: string): void {
    this.#dirty.add(key);
    this.#wake();
  }

  #wake(): void {
    this.#turn ??= setImmediate(() => this.#work());
  }

  #work(): void {
    this.#turn = undefined;
    const until = performance.now() + SLICE_MS;
    for (const key of this.#dirty) {
      this.#evaluate(key);
      if (performance.now() >= until) break;
    }
    if (this.#dirty.size > 0) this.#wake();
  }

  /** Learns of links that came, went or were changed: by one revision, or by a state that was loaded. */
  #takeCatalog(revision: Revision | undefined): void {
    const news =
      revision === undefined ? this.#live.replace(this.#deps.catalog.snapshot()) : this.#live.apply(revision);
    for (const link of news.removed) {
      const key = linkKey(link);
      this.#links.delete(key);
      this.#folds.forget(link);
      this.#tell({ kind: "removed", link: { ...link, key } });
    }
    for (const link of news.changed) this.#markDirty(linkKey(link));
  }

  #evaluate(key: string): void {
    this.#dirty.delete(key);
    const id = linkOfKey(key);
    const entry = this.#live.entryOf(id);
    if (entry === undefined) return; // reports of links that are not known (yet)
    const folded = this.#folds.fold(entry, id, { withObservers: false });
    if (folded === undefined) return;
    const { health, recheckAt } = folded;
    const known = this.#links.get(key);
    const summary = summaryOf(health);
    const link = { ...id, key, operatorId: entry.id, health: this.#shared(health, summary) };
    this.#links.set(key, { link, summary, version: ++this.#version, recheckAt: recheckAt?.getTime() ?? Infinity });
    this.#tell({ kind: summary === known?.summary ? "figures" : "state", link });
  }

  /** The same object for all links of which nobody reports anything, and that are alike. */
  #shared(health: ConnectionHealth, summary: string): ConnectionHealth {
    if (health.observedTime !== undefined) return health;
    const alike = this.#unobserved.get(summary);
    if (alike !== undefined && equals(ConnectionHealthSchema, alike, health)) return alike;
    if (this.#unobserved.size >= MOST_ALIKE) this.#unobserved.clear();
    this.#unobserved.set(summary, health);
    return health;
  }

  #recheck(): void {
    const now = this.#deps.now().getTime();
    for (const [key, { recheckAt }] of this.#links) if (recheckAt <= now) this.#markDirty(key);
  }

  #tell(change: HealthChange): void {
    for (const listener of [...this.#listeners]) listener(change);
  }
}
