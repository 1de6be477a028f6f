import type { ObservedReport } from "./fold-input.ts";

/** The latest report of every node, by the stream's sequence, in order of the nodes' names: whatever else was delivered, and in any order. */
export function latestPerNode(reports: Iterable<ObservedReport>): ObservedReport[] {
  const latest = new Map<string, ObservedReport>();
  for (const observed of reports) {
    const known = latest.get(observed.report.node);
    if (known === undefined || observed.sequence > known.sequence) latest.set(observed.report.node, observed);
  }
  return [...latest.values()].sort((a, b) => (a.report.node < b.report.node ? -1 : 1));
}
