import { toBinary } from "@bufbuild/protobuf";
import type { Position } from "@operator-management/client";
import type { Token } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  ReportNodeStatusRequestSchema,
  type ReportNodeStatusRequest,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { revisionsBehind } from "./revisions-behind.ts";

/** A node that was silent for this long is no longer part of the fleet. */
export const SILENT_AFTER_MS = 60_000;

const MAX_NODES = 1_000;
/** Of all reports together, encoded. A full-sized fleet (30 nodes, 20,000 connections) reports about 12 MiB. */
const MAX_BYTES = 32 * 1024 * 1024;

/** A node and its last report. */
export interface FleetNode {
  /** Names are unique within a namespace, not over the fleet. */
  readonly namespace: string;
  readonly node: string;
  readonly epoch: bigint;
  /** The encoded ReportNodeStatusRequest: a third of the decoded one's size in memory. */
  readonly report: Uint8Array;
  /** The position it has applied; undefined: none yet. */
  readonly applied: Token | undefined;
  /** How many connections it refused. */
  readonly rejected: number;
  readonly reportTime: Date;
  /** It said that it stops: kept unseen for a while, so that a belated report doesn't bring it back. */
  readonly left: boolean;
}

/** What became of a report. IGNORED: an earlier run's. FULL: no room for one more node. CUT: kept without its connections. */
export type ReportOutcome = "ACCEPTED" | "CUT" | "IGNORED" | "FULL";

/** What the metrics show of the fleet. */
export interface FleetSummary {
  readonly nodes: number;
  /** Of the node that is furthest behind. */
  readonly maxRevisionsBehind: number;
  /** Connections that were refused, counted per node. */
  readonly rejectedConnections: number;
}

/** The latest report of every node, in memory. Which of two is the later: of the higher epoch, else the one heard later. */
export class Fleet {
  readonly #now: () => Date;
  readonly #nodes = new Map<string, FleetNode>();
  readonly #unsaved = new Set<string>();
  #bytes = 0;

  constructor(now: () => Date) {
    this.#now = now;
  }

  /** Takes a node's report; `applied` is its decoded applied_token. */
  report(namespace: string, request: ReportNodeStatusRequest, applied: Token | undefined): ReportOutcome {
    const key = keyOf(namespace, request.node);
    const known = this.#current(key);
    if (known !== undefined && (request.epoch < known.epoch || (known.left && request.epoch === known.epoch))) {
      return "IGNORED";
    }
    if (known === undefined && this.#nodes.size >= MAX_NODES) {
      this.forgetSilent();
      if (this.#nodes.size >= MAX_NODES) return "FULL";
    }
    const room = MAX_BYTES - this.#bytes + (known?.report.length ?? 0);
    const whole = toBinary(ReportNodeStatusRequestSchema, request);
    const fits = whole.length <= room;
    const report = fits ? whole : toBinary(ReportNodeStatusRequestSchema, { ...request, connections: [] });
    if (report.length > room) return "FULL";
    const { node, epoch, leaving, rejected } = request;
    // Later than what another replica heard before, also where its clock is ahead of this one's.
    const earlier = known?.epoch === epoch ? known.reportTime.getTime() + 1 : 0;
    const reportTime = new Date(Math.max(this.#now().getTime(), earlier));
    this.#set(key, { namespace, node, epoch, report, applied, rejected: rejected.length, reportTime, left: leaving });
    this.#unsaved.add(key);
    return fits ? "ACCEPTED" : "CUT";
  }

  /** Takes what other replicas of the service, or this one before a restart, have heard, where that is newer. */
  merge(nodes: readonly FleetNode[]): void {
    for (const node of nodes) {
      const key = keyOf(node.namespace, node.node);
      if (!this.isNews(node)) continue;
      const known = this.#nodes.get(key);
      if (known === undefined && this.#nodes.size >= MAX_NODES) this.forgetSilent();
      const bytes = this.#bytes + node.report.length - (known?.report.length ?? 0);
      if ((known === undefined && this.#nodes.size >= MAX_NODES) || bytes > MAX_BYTES) continue;
      this.#set(key, node);
      this.#unsaved.delete(key);
    }
  }

  /** Whether a report that another replica heard says more of its node than what is known here. */
  isNews(report: Omit<FleetNode, "report" | "applied" | "rejected" | "left"> & { readonly left?: boolean }): boolean {
    if (this.#isSilent(report)) return false;
    const known = this.#current(keyOf(report.namespace, report.node));
    if (known === undefined) return true;
    if (report.epoch !== known.epoch) return report.epoch > known.epoch;
    return !known.left && (report.left === true || report.reportTime > known.reportTime);
  }

  /** The nodes that reported within the last minute and have not left, by name. */
  nodes(): FleetNode[] {
    return [...this.#nodes.values()]
      .filter((node) => !node.left && !this.#isSilent(node))
      .sort((a, b) => compare(a.node, b.node) || compare(a.namespace, b.namespace));
  }

  /** Whether one of those nodes is a connector of this name. */
  knows(node: string): boolean {
    const known = this.#nodes.get(keyOf("smpp-connector", node));
    return known !== undefined && !known.left && !this.#isSilent(known);
  }

  summary(server: Position): FleetSummary {
    const nodes = this.nodes();
    return {
      nodes: nodes.length,
      maxRevisionsBehind: nodes.reduce((max, node) => Math.max(max, revisionsBehind(node.applied, server)), 0),
      rejectedConnections: nodes.reduce((sum, node) => sum + node.rejected, 0),
    };
  }

  /** The nodes, also those that left, whose last report is not yet noted as saved. */
  unsaved(): FleetNode[] {
    return [...this.#unsaved].flatMap((key) => this.#nodes.get(key) ?? []);
  }

  /** Notes that this report is stored; a newer one still is not. */
  markSaved(node: FleetNode): void {
    const key = keyOf(node.namespace, node.node);
    if (this.#nodes.get(key) === node) this.#unsaved.delete(key);
  }

  /** Forgets the nodes that were silent too long. */
  forgetSilent(): void {
    const silent = [...this.#nodes].filter(([, node]) => this.#isSilent(node));
    for (const [key, node] of silent) {
      this.#nodes.delete(key);
      this.#unsaved.delete(key);
      this.#bytes -= node.report.length;
    }
  }

  #current(key: string): FleetNode | undefined {
    const node = this.#nodes.get(key);
    return node === undefined || this.#isSilent(node) ? undefined : node;
  }

  #isSilent(node: Pick<FleetNode, "reportTime">): boolean {
    return this.#now().getTime() - node.reportTime.getTime() > SILENT_AFTER_MS;
  }

  #set(key: string, node: FleetNode): void {
    this.#bytes += node.report.length - (this.#nodes.get(key)?.report.length ?? 0);
    this.#nodes.set(key, node);
  }
}

/** Neither part can hold a slash. */
function keyOf(namespace: string, node: string): string {
  return `${namespace}/${node}`;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
