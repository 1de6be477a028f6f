import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { CatalogConnection } from "./catalog-state.ts";
import type { OperatorCatalog } from "./catalog.ts";
import type { MeshClient } from "./clients.ts";
import { LinkMonitor, type MonitoredLink, type ReportContext } from "./health/link-monitor.ts";
import { sendReports } from "./health/send-reports.ts";
import type { Logger } from "./logger.ts";
import { later } from "./timers.ts";

const DEFAULT_INTERVAL_MS = 10_000;
/** Changes of binds within so long go together. */
const COALESCE_MS = 50;
const LAST_WORD_MS = 2_000;
/** In how many rounds a last report is tried: afterwards silence says it too. */
const LEAVING_TRIES = 3;

/** Time, for tests. */
export interface HealthClock {
  /** Milliseconds since 1970; the clock that binds' times are of. */
  readonly now: () => number;
  /** Calls back after so many milliseconds unless the returned function is called; must not keep the process alive. */
  readonly later: (ms: number, action: () => void) => () => void;
}

/** Who reports, and how. */
export interface HealthReporterOptions {
  readonly client: MeshClient;
  /** Says what answers mean at each operator, and from which share of errors on a link is not well. */
  readonly catalog: Pick<OperatorCatalog, "connection">;
  readonly node: {
    /** As in NodeReporter. */
    readonly name: string;
    /** Higher after each start. Default: milliseconds since 1970. */
    readonly epoch?: bigint;
  };
  /** Time between two reports of a connection, in milliseconds. Default: 10,000. */
  readonly intervalMs?: number;
  readonly logger?: Logger;
  readonly clock?: HealthClock;
}

/** What came of the reports. */
export interface HealthReporterStatus {
  /** The error of the last round; absent when it went through. */
  readonly lastError?: Error;
  /** Reports of the last round that the service had no use for: it has no such connection (any more). */
  readonly dropped: number;
}

/**
 * Tells the service how this node's connections are. Each report is complete in itself, so that one that fails is simply followed by the
 * next. Nothing here throws, waits for the service or keeps the process alive.
 */
export class HealthReporter implements AsyncDisposable {
  readonly #options: HealthReporterOptions;
  readonly #clock: HealthClock;
  readonly #epoch: bigint;
  readonly #intervalMs: number;
  readonly #monitors = new Map<string, LinkMonitor>();
  /** Those that aren't run here any more, with how often that is still to be tried to say. */
  readonly #leaving = new Map<LinkMonitor, number>();
  #due = new Set<LinkMonitor>();
  #appliedToken = "";
  #sending: Promise<void> | undefined;
  #closing: Promise<void> | undefined;
  #lastError: Error | undefined;
  #dropped = 0;
  #cancelRound = (): void => {};
  #cancelSoon: (() => void) | undefined;

  private constructor(options: HealthReporterOptions) {
    this.#options = options;
    this.#clock = options.clock ?? { now: Date.now, later };
    this.#epoch = options.node.epoch ?? BigInt(Date.now());
    this.#intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS;
  }

  /** Starts to report; there is nothing to report until `link` was called. */
  static start(options: HealthReporterOptions): HealthReporter {
    const reporter = new HealthReporter(options);
    reporter.#schedule();
    return reporter;
  }

  get status(): HealthReporterStatus {
    return { ...(this.#lastError !== undefined && { lastError: this.#lastError }), dropped: this.#dropped };
  }

  /** Where to tell what is seen of a connection; the same one until it is closed. */
  link(link: MonitoredLink): LinkMonitor {
    const key = keyOf(link);
    let monitor = this.#monitors.get(key);
    if (monitor === undefined) {
      monitor = new LinkMonitor(link, this.#context());
      this.#monitors.set(key, monitor);
      // It is here again: its last word would come too late.
      for (const left of this.#leaving.keys()) if (keyOf(left.link) === key) this.#leaving.delete(left);
    }
    return monitor;
  }

  /** The node has applied everything up to this position. */
  applied(token: string): void {
    this.#appliedToken = token;
  }

  /** Reports every connection at once, or right after what is under way. */
  reportNow(): void {
    if (this.#closing !== undefined) return;
    for (const monitor of this.#monitors.values()) this.#due.add(monitor);
    this.#flush();
  }

  /** Resolves when nothing is under way. */
  async idle(): Promise<void> {
    await this.#sending;
  }

  /** Sends a last report of every connection with `leaving`, for at most 2 s. May be called again. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #context(): ReportContext {
    return {
      now: this.#clock.now,
      intervalMs: this.#intervalMs,
      configOf: (link) => this.#configOf(link),
      changed: (monitor) => this.#changed(monitor),
      left: (monitor) => this.#left(monitor),
    };
  }

  #configOf(link: MonitoredLink): CatalogConnection | undefined {
    const connection = this.#options.catalog.connection(link);
    return connection?.operator.uid === link.operatorUid ? connection : undefined;
  }

  #changed(monitor: LinkMonitor): void {
    if (this.#monitors.get(keyOf(monitor.link)) !== monitor) return;
    this.#due.add(monitor);
    this.#soon();
  }

  #left(monitor: LinkMonitor): void {
    const key = keyOf(monitor.link);
    if (this.#monitors.get(key) !== monitor) return;
    this.#monitors.delete(key);
    this.#due.delete(monitor);
    this.#leaving.set(monitor, LEAVING_TRIES);
    this.#soon();
  }

  #soon(): void {
    if (this.#closing !== undefined) return;
    this.#cancelSoon ??= this.#clock.later(COALESCE_MS, () => {
      this.#cancelSoon = undefined;
      this.#flush();
    });
  }

  #schedule(): void {
    // Never later than announced; not all nodes at the same moment.
    const delay = this.#intervalMs * (0.8 + Math.random() * 0.2);
    this.#cancelRound = this.#clock.later(delay, () => {
      this.reportNow();
      this.#schedule();
    });
  }

  /** Sends what is due, one round at a time: reports of one connection must not overtake each other. */
  #flush(): void {
    if (this.#sending !== undefined || this.#closing !== undefined) return;
    if (this.#due.size === 0 && this.#leaving.size === 0) return;
    const due = this.#due;
    this.#due = new Set();
    this.#sending = this.#round(due).then(() => {
      this.#sending = undefined;
      if (this.#due.size > 0) this.#soon();
    });
  }

  async #round(due: ReadonlySet<LinkMonitor>): Promise<void> {
    const leaving = [...this.#leaving.keys()];
    const reports = [
      ...[...due].map((each) => this.#report(each, false)),
      ...leaving.map((each) => this.#report(each, true)),
    ];
    const said = await this.#send(reports, Math.min(this.#intervalMs, DEFAULT_INTERVAL_MS), true);
    for (const monitor of leaving) {
      const left = (this.#leaving.get(monitor) ?? 0) - 1;
      if (said || left <= 0) this.#leaving.delete(monitor);
      else if (this.#leaving.has(monitor)) this.#leaving.set(monitor, left);
    }
  }

  async #close(): Promise<void> {
    this.#cancelRound();
    this.#cancelSoon?.();
    // What is under way may overtake the last word otherwise.
    await this.#sending;
    const all = [...this.#monitors.values(), ...this.#leaving.keys()];
    await this.#send(
      all.map((monitor) => this.#report(monitor, true)),
      LAST_WORD_MS,
      false,
    );
  }

  #report(monitor: LinkMonitor, leaving: boolean): HealthReport {
    const report = monitor.report(leaving);
    report.node = this.#options.node.name;
    report.epoch = this.#epoch;
    report.appliedToken = this.#appliedToken;
    return report;
  }

  /** Resolves to whether all went through. Never rejects. */
  async #send(reports: readonly HealthReport[], timeoutMs: number, unheld: boolean): Promise<boolean> {
    const { dropped, errors } = await sendReports(this.#options.client, reports, { timeoutMs, unheld });
    this.#dropped = dropped;
    this.#remember(errors[0]);
    return errors.length === 0;
  }

  #remember(error: unknown): void {
    const { logger } = this.#options;
    if (error === undefined) {
      this.#lastError = undefined;
      return;
    }
    if (this.#lastError === undefined) logger?.warn({ err: error }, "health reports failed; the next ones follow");
    this.#lastError = error instanceof Error ? error : new Error("health reports failed", { cause: error });
  }
}

function keyOf({ operatorUid, connectionId }: MonitoredLink): string {
  return `${operatorUid}/${connectionId}`;
}
