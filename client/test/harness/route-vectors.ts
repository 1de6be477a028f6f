import { readdirSync, readFileSync } from "node:fs";
import { fromJson, type JsonValue } from "@bufbuild/protobuf";
import { timestampDate, TimestampSchema } from "@bufbuild/protobuf/wkt";
import { OperatorHealthSchema, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import {
  RouteQuerySchema,
  RouteResultSchema,
  type RouteQuery,
  type RouteResult,
} from "@operator-management/contract/ops/v1/route_pb.js";
import type { HealthView } from "../../src/routes/health-view.ts";

/** One vector of client/conformance, decoded. */
export interface RouteVector {
  /** The file and the vector's name in it. */
  readonly name: string;
  readonly now: Date;
  readonly operators: readonly Operator[];
  readonly health: HealthView;
  readonly query: RouteQuery;
  readonly expected: RouteResult;
  /** Keys and the link that each falls on; null for none. */
  readonly picks: readonly { readonly key: string; readonly pick: string | null }[];
}

interface VectorFile {
  readonly vectors: readonly {
    readonly name: string;
    readonly now: string;
    readonly operators: readonly JsonValue[];
    readonly health: readonly JsonValue[];
    readonly query: JsonValue;
    readonly expected: JsonValue;
    readonly picks?: RouteVector["picks"];
  }[];
}

const folder = new URL("../../conformance/", import.meta.url);

/** All vectors. */
export function routeVectors(): RouteVector[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".json"));
  return files.flatMap((file) => {
    const { vectors } = JSON.parse(readFileSync(new URL(file, folder), "utf8")) as VectorFile;
    return vectors.map(({ name, now, operators, health, query, expected, picks = [] }) => ({
      name: `${file.replace(".json", "")}: ${name}`,
      now: timestampDate(fromJson(TimestampSchema, now)),
      operators: operators.map((json) => fromJson(OperatorSchema, json)),
      health: healthView(health),
      query: fromJson(RouteQuerySchema, query),
      expected: fromJson(RouteResultSchema, expected),
      picks,
    }));
  });
}

function healthView(operators: readonly JsonValue[]): HealthView {
  const known = new Map<string, ConnectionHealth>();
  for (const json of operators) {
    const { operatorUid, connections } = fromJson(OperatorHealthSchema, json);
    for (const [id, health] of Object.entries(connections)) known.set(`${operatorUid}/${id}`, health);
  }
  return { of: (_operatorId, uid, connectionId) => known.get(`${uid}/${connectionId}`) };
}
