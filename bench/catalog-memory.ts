// How much memory the catalog takes: `node --conditions=source bench/catalog-memory.ts [operators]`.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { randomBytes, randomUUID } from "node:crypto";
import { create } from "@bufbuild/protobuf";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { CoverageEntrySchema } from "@operator-management/contract/ops/v1/coverage_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { Catalog } from "../src/catalog/catalog.ts";
import { entryOf, type CatalogEntry } from "../src/catalog/entry.ts";
import { Ring } from "../src/catalog/ring.ts";
import { genesis } from "../src/history/fingerprint.ts";
import { canonicalBytes } from "../src/operators/canonical.ts";
import { withDefaults } from "../src/operators/defaults.ts";

const CONNECTIONS = 2;
const COVERAGE = 10;

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** An operator as an integrator enters it, with every default filled in as it is stored. */
function operator(number: number): Operator {
  const coverage = Array.from({ length: COVERAGE }, (_, n): MessageInitShape<typeof CoverageEntrySchema> => {
    return { kind: { case: "mccmnc", value: String(20_000 + ((number * 7 + n * 13) % 59_999)) } };
  });
  const connections = Array.from({ length: CONNECTIONS }, (_, n) => [
    `link-${n}`,
    {
      systemId: `account${number}`,
      endpoints: {
        primary: { host: `smpp${n}.operator-${number}.example` },
        backup: { host: `10.0.${n}.${number % 256}` },
      },
      throughput: { maxSegmentsPerSecond: 50 },
      adminState: AdminState.ENABLED,
      effectiveState: AdminState.ENABLED,
      coverage,
    },
  ]);
  return withDefaults(
    create(OperatorSchema, {
      id: `operator-${number}`,
      uid: randomUUID(),
      displayName: `Operator ${number}`,
      countries: ["DE"],
      labels: { region: "emea", tier: "gold" },
      connections: Object.fromEntries(connections) as Operator["connections"],
      adminState: AdminState.ENABLED,
      etag: randomBytes(16).toString("hex"),
    }),
  );
}

function memory(): { heap: number; buffers: number; resident: number } {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers, resident: rss };
}

function load(count: number): Catalog {
  const entries = new Map<string, CatalogEntry>();
  for (let number = 0; number < count; number++) {
    const entry = entryOf(canonicalBytes(operator(number)));
    if (entry !== undefined) entries.set(entry.id, entry);
  }
  const store = randomBytes(16);
  const catalog = new Catalog();
  catalog.replace({ entries, damaged: [], ring: new Ring({ store, revision: 0n, fingerprint: genesis(store) }) });
  return catalog;
}

load(100); // so that code and descriptors are not counted
// Decoded operators may stay until the job that made them has ended.
await new Promise((resolve) => setImmediate(resolve));
const count = Number(process.argv[2] ?? 5_000);
const before = memory();
const catalog = load(count);
await new Promise((resolve) => setImmediate(resolve));
const after = memory();

const each = (bytes: number): string => `${Math.round(bytes / count)} bytes per operator`;
console.log(
  `${catalog.size} operators, ${CONNECTIONS} connections and ${CONNECTIONS * COVERAGE} coverage entries each`,
);
console.log(`encoded        ${each(catalog.bytes)}`);
console.log(`heap           ${each(after.heap - before.heap)}`);
console.log(`array buffers  ${each(after.buffers - before.buffers)}`);
console.log(`in all         ${each(after.heap + after.buffers - before.heap - before.buffers)}`);
console.log(`resident       ${Math.round(after.resident / 2 ** 20)} MiB, the whole process`);
