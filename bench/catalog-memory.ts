// How much memory the catalog takes: `node --conditions=source bench/catalog-memory.ts [operators]`.
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { randomBytes } from "node:crypto";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Catalog } from "../src/catalog/catalog.ts";
import { entryOf, type CatalogEntry } from "../src/catalog/entry.ts";
import { Ring } from "../src/catalog/ring.ts";
import { genesis } from "../src/history/fingerprint.ts";
import { canonicalBytes } from "../src/operators/canonical.ts";
import { CONNECTIONS, COVERAGE, sampleOperator } from "./sample-operator.ts";

const now = timestampFromDate(new Date());

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

function memory(): { heap: number; buffers: number; resident: number } {
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers, rss } = process.memoryUsage();
  return { heap: heapUsed, buffers: arrayBuffers, resident: rss };
}

function load(count: number): Catalog {
  const entries = new Map<string, CatalogEntry>();
  for (let number = 0; number < count; number++) {
    const entry = entryOf(canonicalBytes(sampleOperator(number, now)));
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
