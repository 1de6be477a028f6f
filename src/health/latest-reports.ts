import { fromBinary } from "@bufbuild/protobuf";
import { HealthReportSchema, type HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { BusMessage } from "../backends/bus/bus.ts";
import type { ObservedReport } from "./fold.ts";
import { linkKey, reporterOf, type LinkId, type Reporter } from "./subjects.ts";

/** A report as the stream holds it: some fifth of the decoded one's size. */
interface EncodedReport {
  readonly data: Uint8Array;
  readonly sequence: number;
  readonly time: Date;
}

/** Reports are kept by the stream for 20 minutes; so long they can matter here. */
const KEEP_MS = 20 * 60_000;
/** A report of 192 binds with all their texts; what is larger is nobody's report. */
const MOST_BYTES = 256 * 1024;
/** Far above any fleet: what a sender that makes up names can cost. */
const MOST_LINKS = 100_000;
const MOST_NODES = 64;

/** The latest report of every node about every link, as the stream has them. */
export class LatestReports {
  readonly #links = new Map<string, Map<string, EncodedReport>>();

  /** Takes a message of the stream, where what comes later is as new or newer. Which link it is about; undefined when it says nothing new, or nothing at all. */
  take({ subject, data, sequence, time }: BusMessage): LinkId | undefined {
    const reporter = reporterOf(subject);
    const nodes = reporter && data.length <= MOST_BYTES ? this.#roomFor(reporter) : undefined;
    if (reporter === undefined || nodes === undefined) return undefined;
    const known = nodes.get(reporter.node);
    if (known?.sequence === sequence && known.time.getTime() === time.getTime()) return undefined; // a follower that began anew
    nodes.set(reporter.node, { data, sequence, time });
    return reporter;
  }

  /** Takes a copy of a report, unless the stream has told of that node already. */
  takeCopy({ subject, data, sequence, time }: BusMessage): LinkId | undefined {
    const reporter = reporterOf(subject);
    const nodes = reporter && this.#roomFor(reporter);
    if (reporter === undefined || nodes === undefined || nodes.has(reporter.node)) return undefined;
    nodes.set(reporter.node, { data, sequence, time });
    return reporter;
  }

  /** The link's reports, those that can be read. */
  of(link: LinkId): ObservedReport[] {
    const nodes = this.#links.get(linkKey(link));
    if (nodes === undefined) return [];
    return nodes
      .entries()
      .flatMap(([node, { data, sequence, time }]) => {
        const report = decodeReport(data, { ...link, node });
        return report === undefined ? [] : [{ report, sequence, time }];
      })
      .toArray();
  }

  /** Forgets what is too old to matter. Returns how many links still have reports. */
  forget(now: Date): number {
    const before = now.getTime() - KEEP_MS;
    for (const [key, nodes] of this.#links) {
      for (const [node, { time }] of nodes) if (time.getTime() < before) nodes.delete(node);
      if (nodes.size === 0) this.#links.delete(key);
    }
    return this.#links.size;
  }

  /** Where the node's report of the link goes; undefined when there is no room for one more. */
  #roomFor(reporter: Reporter): Map<string, EncodedReport> | undefined {
    const key = linkKey(reporter);
    const nodes = this.#links.get(key);
    if (nodes !== undefined) return nodes.has(reporter.node) || nodes.size < MOST_NODES ? nodes : undefined;
    if (this.#links.size >= MOST_LINKS) return undefined;
    const fresh = new Map<string, EncodedReport>();
    this.#links.set(key, fresh);
    return fresh;
  }
}

/**
 * The report in the message; undefined when it can't be read, or is about another link or of another node than its subject says: a node may
 * publish on its own subjects only.
 */
export function decodeReport(
  data: Uint8Array,
  { operatorUid, connectionId, node }: Reporter,
): HealthReport | undefined {
  try {
    const report = fromBinary(HealthReportSchema, data);
    const fits = report.operatorUid === operatorUid && report.connectionId === connectionId && report.node === node;
    return fits ? report : undefined;
  } catch {
    return undefined; // the durable consumer keeps it as a dead letter
  }
}
