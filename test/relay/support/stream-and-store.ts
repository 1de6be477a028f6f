import { fromBinary } from "@bufbuild/protobuf";
import { ConfigEventSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import type { Bus, BusMessage } from "../../../src/backends/bus/bus.ts";
import type { Database } from "../../../src/db/db.ts";
import { operator } from "../../../src/db/schema.ts";
import type { Taken } from "./tapped-bus.ts";

const forever = new AbortController().signal;
const SUBJECT = "ops.config.v1.";

/** The last message of every subject, oldest first. */
export async function lastMessages(bus: Bus): Promise<BusMessage[]> {
  const messages: BusMessage[] = [];
  await bus.lastPerSubject("OPS_CONFIG", (message) => void messages.push(message), forever);
  return messages;
}

/** Every operator that the stream's last messages say there is, deleted ones too: revision and encoded operator in hex, by id. */
export async function streamState(bus: Bus): Promise<Record<string, string>> {
  const state: Record<string, string> = {};
  for (const { subject, data } of await lastMessages(bus)) {
    const { event } = fromBinary(ConfigEventSchema, data);
    if (event.case === "reset") continue;
    if (event.case === "change" && event.value.operator.length > 0) {
      const { operatorId, revision, operator: bytes } = event.value;
      if (subject !== SUBJECT + operatorId) throw new Error(`${operatorId} is told on ${subject}`);
      state[operatorId] = `${revision} ${Buffer.from(bytes).toString("hex")}`;
    } else if (event.case === "reference") state[event.value.operatorId] = `${event.value.revision} elsewhere`;
    else if (event.case === undefined) state[subject] = "unreadable";
  }
  return state;
}

/** The same of the database, from its current rows. */
export async function storeState(db: Database): Promise<Record<string, string>> {
  const rows = await db.select().from(operator);
  return Object.fromEntries(rows.map((row) => [row.id, `${row.revision} ${Buffer.from(row.record).toString("hex")}`]));
}

/** The live operators of the database, encoded in hex, by id. */
export async function liveOperators(db: Database): Promise<Record<string, string>> {
  const rows = await db.select().from(operator);
  return Object.fromEntries(rows.map(({ id, record }) => [id, Buffer.from(record).toString("hex")]));
}

/** What was told, in the stream's order: `acme@3`, `acme gone`, `reset`. */
export function story(taken: readonly Taken[]): string[] {
  return taken.toSorted((a, b) => a.sequence - b.sequence).map(({ data }) => wordFor(data));
}

function wordFor(data: Uint8Array): string {
  const { event } = fromBinary(ConfigEventSchema, data);
  switch (event.case) {
    case "change":
    case "reference":
      return `${event.value.operatorId}@${event.value.revision}`;
    case "absence":
      return `${event.value.operatorId} gone`;
    default:
      return event.case ?? "unreadable";
  }
}

/** The places where a subject went back to an older revision without a reset before it. */
export function stepsBack(taken: readonly Taken[]): string[] {
  const latest = new Map<string, bigint>();
  const back: string[] = [];
  for (const { subject, data, sequence } of taken.toSorted((a, b) => a.sequence - b.sequence)) {
    const { event } = fromBinary(ConfigEventSchema, data);
    if (event.case === "reset") latest.clear();
    if (event.case !== "change") continue;
    const before = latest.get(subject) ?? 0n;
    if (event.value.revision < before) back.push(`${subject} from ${before} to ${event.value.revision} at ${sequence}`);
    latest.set(subject, event.value.revision);
  }
  return back;
}
