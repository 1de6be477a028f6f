import { fromBinary } from "@bufbuild/protobuf";
import { HealthReportSchema, type HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { BusMessage } from "../backends/bus/bus.ts";
import type { ObservedReport } from "./fold.ts";
import { linkKey, reporterOf, type LinkId } from "./subjects.ts";

/** A report as the stream holds it: some fifth of the decoded one's size. */
interface EncodedReport {
  readonly data: Uint8Array;
  readonly sequence: number;
  readonly time: Date;
}

/** Reports are kept by the stream for 20 minutes; so long they can matter here. */
const KEEP_MS = 20 * 60_000;

/** The latest report of every node about every link, as the stream has them. */
export class LatestReports {
  readonly #links = new Map<string, Map<string, EncodedReport>>();

  /** Takes a message of the stream, where what comes later is as new or newer. Which link it is about; undefined when it says nothing new, or nothing at all. */
  take({ subject, data, sequence, time }: BusMessage): LinkId | undefined {
    const reporter = reporterOf(subject);
    if (reporter === undefined) return undefined;
    const nodes = this.#nodesOf(reporter);
    const known = nodes.get(reporter.node);
    if (known?.sequence === sequence && known.time.getTime() === time.getTime()) return undefined; // a follower that began anew
    nodes.set(reporter.node, { data, sequence, time });
    return reporter;
  }

  /** Takes a copy of a report, unless the stream has told of that node already. */
  takeCopy({ subject, data, sequence, time }: BusMessage): LinkId | undefined {
    const reporter = reporterOf(subject);
    if (reporter === undefined) return undefined;
    const nodes = this.#nodesOf(reporter);
    if (nodes.has(reporter.node)) return undefined;
    nodes.set(reporter.node, { data, sequence, time });
    return reporter;
  }

  /** The link's reports, those that can be read. */
  of(link: LinkId): ObservedReport[] {
    const nodes = this.#links.get(linkKey(link));
    if (nodes === undefined) return [];
    return nodes
      .values()
      .flatMap(({ data, sequence, time }) => {
        const report = decodeReport(data, link);
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

  #nodesOf(link: LinkId): Map<string, EncodedReport> {
    const key = linkKey(link);
    let nodes = this.#links.get(key);
    if (nodes === undefined) this.#links.set(key, (nodes = new Map()));
    return nodes;
  }
}

/** The report in the message; undefined when it can't be read, or is about another link than its subject says. */
export function decodeReport(data: Uint8Array, { operatorUid, connectionId }: LinkId): HealthReport | undefined {
  try {
    const report = fromBinary(HealthReportSchema, data);
    return report.operatorUid === operatorUid && report.connectionId === connectionId ? report : undefined;
  } catch {
    return undefined; // the durable consumer keeps it as a dead letter
  }
}
