import { diffMessages } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";

/** Fields that follow from others and would only repeat the story. */
const silent = ["admin_state", "effective_state", "credential", "next_state", "keep_binds"];

/** Why the binds are made anew, e.g. `host, port changed (endpoints.primary.host, endpoints.primary.port)`. */
export function rebindWords(fields: readonly string[]): string {
  const names = [...new Set(fields.map((path) => path.split(".").at(-1) ?? path))];
  return names.join(", ") === fields.join(", ")
    ? `${names.join(", ")} changed`
    : `${names.join(", ")} changed (${fields.join(", ")})`;
}

/** What a change that live sessions take means, a line each; nothing for what concerns nobody here. */
export function liveChangeWords(before: Connection, after: Connection): string[] {
  const lines: string[] = [];
  if (before.effectiveState !== after.effectiveState) {
    lines.push(`${AdminState[before.effectiveState]} → ${AdminState[after.effectiveState]}, binds stay`);
  }
  const fields = diffMessages(ConnectionSchema, before, after, { values: false })
    .filter(({ path, rebind }) => !rebind && !silent.some((name) => path.startsWith(name)))
    .map(({ path }) => path);
  const rate = after.throughput?.maxSegmentsPerSecond;
  const [rateField, others] = [
    "throughput.max_segments_per_second",
    fields.filter((path) => path !== "throughput.max_segments_per_second"),
  ];
  if (fields.includes(rateField) && rate !== undefined) lines.push(`rate now ${rate}/s, no re-bind`);
  if (others.length > 0) lines.push(`${others.join(", ")} changed, no re-bind`);
  return lines;
}
