import { createRegistry, equals, type DescMessage, type MessageShape } from "@bufbuild/protobuf";
import { ConnectionSchema, type Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { diffMessages } from "./field-diff.ts";

/** What a change is about: a connection or, without `connectionId`, the operator itself. */
export interface CatalogRef {
  readonly operatorId: string;
  readonly connectionId?: string;
}

/** One change of a connection, or of what an operator says for itself. All objects are frozen. */
export interface CatalogEvent {
  readonly ref: CatalogRef;
  /** An operator deleted and created again under the same id is removed and then added. */
  readonly kind: "added" | "changed" | "removed";
  /**
   * Paths of the changed fields as an update mask writes them, below the connection (`throughput.window`) or the operator (`kind`).
   * Empty unless `kind` is `changed`, and when all that changed is newer than this package's contract.
   */
  readonly fields: readonly string[];
  /** Whether one of the fields takes effect only after the connection's binds are made anew; false unless `kind` is `changed`. */
  readonly rebind: boolean;
  /** The operator after the change; absent when it is gone. */
  readonly operator?: Operator;
  /** The connection after the change; absent when it is gone, and for changes of the operator itself. */
  readonly connection?: Connection;
}

/** All that changed at once. */
export interface Revision {
  /** The position after it: what `waitFor`, `changes({from})` and ReportNodeStatus take. */
  readonly token: string;
  /**
   * True when this is not one revision of the server's but the difference between two states: the first snapshot apart, the history
   * was replaced, or this reader fell behind and several revisions were merged.
   */
  readonly resync: boolean;
  /** Per operator in the order of ids, the operator's own event before those of its connections. */
  readonly events: readonly CatalogEvent[];
}

/** Operators by id. */
export type Operators = ReadonlyMap<string, Operator>;

/** Operators by id as they were before a change; undefined: there was none. */
export type Touched = ReadonlyMap<string, Operator | undefined>;

const NO_EXTENSIONS = createRegistry();

/** Fields of the record, not of the operator: they change with every revision. */
const RECORD_FIELDS = new Set(["etag", "update_time"]);

/** The events that lead from what was to what is, for these operators. */
export function revisionEvents(before: Touched, after: Operators): CatalogEvent[] {
  const ids = [...before.keys()].sort();
  return ids.flatMap((id) => operatorEvents(id, before.get(id), after.get(id)));
}

/** Which operators differ between two states, as they were in the first. */
export function touchedBetween(before: Operators, after: Operators): Touched {
  const touched = new Map<string, Operator | undefined>();
  for (const [id, operator] of before) if (!isSame(operator, after.get(id))) touched.set(id, operator);
  for (const id of after.keys()) if (!before.has(id)) touched.set(id, undefined);
  return touched;
}

/** Whether two operators are equal in everything, also in fields that this package doesn't know. */
export function isSame(a: Operator | undefined, b: Operator | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return equalMessages(OperatorSchema, a, b);
}

function operatorEvents(operatorId: string, before: Operator | undefined, after: Operator | undefined): CatalogEvent[] {
  if (before === undefined && after === undefined) return [];
  if (before !== undefined && after !== undefined && before.uid !== after.uid) {
    return [...operatorEvents(operatorId, before, undefined), ...operatorEvents(operatorId, undefined, after)];
  }
  const events: CatalogEvent[] = [];
  const operator = after === undefined ? {} : { operator: after };
  if (before === undefined || after === undefined) {
    events.push(whole({ operatorId }, before === undefined, operator));
  } else {
    const fields = diffMessages(OperatorSchema, before, after, { values: false })
      .map((change) => change.path)
      .filter((path) => !path.startsWith("connections.") && !RECORD_FIELDS.has(path));
    if (fields.length > 0) events.push({ ref: { operatorId }, kind: "changed", fields, rebind: false, ...operator });
  }
  const ids = new Set([...Object.keys(before?.connections ?? {}), ...Object.keys(after?.connections ?? {})]);
  for (const connectionId of [...ids].sort()) {
    const ref = { operatorId, connectionId };
    const event = connectionEvent(ref, before?.connections[connectionId], after?.connections[connectionId], operator);
    if (event !== undefined) events.push(event);
  }
  return events.map((event) =>
    Object.freeze({ ...event, ref: Object.freeze(event.ref), fields: Object.freeze(event.fields) }),
  );
}

function connectionEvent(
  ref: CatalogRef,
  before: Connection | undefined,
  after: Connection | undefined,
  operator: { operator?: Operator },
): CatalogEvent | undefined {
  const connection = after === undefined ? {} : { connection: after };
  if (before === undefined || after === undefined) {
    return whole(ref, before === undefined, { ...operator, ...connection });
  }
  if (equalMessages(ConnectionSchema, before, after)) return undefined;
  const changes = diffMessages(ConnectionSchema, before, after, { values: false });
  const fields = changes.map((change) => change.path);
  return { ref, kind: "changed", fields, rebind: changes.some((change) => change.rebind), ...operator, ...connection };
}

function whole(ref: CatalogRef, added: boolean, what: Partial<CatalogEvent>): CatalogEvent {
  return { ref, kind: added ? "added" : "removed", fields: [], rebind: false, ...what };
}

function equalMessages<D extends DescMessage>(schema: D, a: MessageShape<D>, b: MessageShape<D>): boolean {
  return equals(schema, a, b, { registry: NO_EXTENSIONS, unknown: true });
}
