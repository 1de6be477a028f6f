import { toBinary } from "@bufbuild/protobuf";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { LoadedCatalog } from "../../src/catalog/catalog.ts";
import { entryOf } from "../../src/catalog/entry.ts";
import { Ring } from "../../src/catalog/ring.ts";
import { genesis } from "../../src/history/fingerprint.ts";

const store = new Uint8Array(16).fill(7);

/** A state of a catalog as the tail loads it: the deleted operators are not in it. */
export function loadedCatalog(operators: readonly Operator[], revision = 1n): LoadedCatalog {
  const entries = operators.map((operator) => entryOf(toBinary(OperatorSchema, operator)));
  const ring = new Ring({ store, revision, fingerprint: genesis(store) });
  return { entries: new Map(entries.flatMap((entry) => (entry ? [[entry.id, entry]] : []))), ring, damaged: [] };
}
