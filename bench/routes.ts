import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import { RouteIndex, type HealthView } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { CoverageEntrySchema } from "@operator-management/contract/ops/v1/coverage_pb.js";
import { ConnectionHealthSchema, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { RouteQuerySchema } from "@operator-management/contract/ops/v1/route_pb.js";
import type { Figure } from "./figure.ts";
import { median } from "./statistics.ts";

const OPERATORS = 5_000;
const LINKS = 4;
/** Of each link: a million in all. */
const ENTRIES = 50;
const ROUNDS = 3;
const LOOKUPS = 2_000;
const MAP_ROUNDS = 200;
/** The limit that the design sets for an entry. */
const LIMIT_BYTES = 64;

const health = create(ConnectionHealthSchema, { state: OperationalState.UP, transmittersBound: 1 });
const allUp: HealthView = { of: () => health };
const now = new Date();

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

type Entry = MessageInitShape<typeof CoverageEntrySchema>;

/** How coverage is spread: the same networks from many, or prefixes that nobody else has. */
interface Spread {
  readonly name: string;
  entry(operator: number, link: number, n: number): Entry;
  /** The k-th query. */
  query(k: number): { readonly network: string } | { readonly number: string };
}

const spreads: readonly Spread[] = [
  {
    // Each of 60,000 networks by some 17 links.
    name: "1,000,000 entries, networks of 17 links each",
    entry: (operator, link, n) => ({
      kind: { case: "mccmnc", value: networkOf(operator * 211 + link * 53 + n * 1_201) },
    }),
    query: (k) => ({ network: networkOf(k * 7_919) }),
  },
  {
    name: "1,000,000 entries, prefixes of one link each",
    entry: (operator, link, n) => ({
      kind: { case: "prefix", value: prefixOf((operator * LINKS + link) * ENTRIES + n) },
    }),
    query: (k) => ({ number: `${prefixOf((k * 7_919) % (OPERATORS * LINKS * ENTRIES))}0123` }),
  },
];

/** Loading, memory and look-ups of the index of routes, beside a bare Map in the same process. Needs none of the servers. */
export async function routes({ say }: { readonly say: (line: string) => void }): Promise<Figure[]> {
  const figures: Figure[] = [];
  for (const spread of spreads) figures.push(...(await measure(spread, say)));
  return figures;
}

async function measure(spread: Spread, say: (line: string) => void): Promise<Figure[]> {
  const before = await memory();
  const index = new RouteIndex();
  let loading = 0;
  for (let number = 0; number < OPERATORS; number++) {
    const operator = operatorOf(number, spread);
    const began = process.cpuUsage();
    index.upsert(operator);
    const { user, system } = process.cpuUsage(began);
    loading += (user + system) / 1_000;
  }
  const bytes = ((await memory()) - before) / (OPERATORS * LINKS * ENTRIES);
  say(`${spread.name}: loaded in ${loading.toFixed(0)} ms of processor time, ${bytes.toFixed(1)} bytes an entry`);

  const queries = Array.from({ length: LOOKUPS }, (_, k) => create(RouteQuerySchema, spread.query(k)));
  const names = queries.map((query) => query.network + query.number);
  const map = new Map(names.map((name, k) => [name, queries[k]]));
  let found = 0;
  const lookUps: number[] = [];
  const gets: number[] = [];
  for (let round = 1; round <= ROUNDS; round++) {
    for (const query of queries) {
      const began = performance.now();
      found += index.resolve(query, allUp, now).routes.length;
      lookUps.push((performance.now() - began) * 1_000);
    }
    const began = performance.now();
    for (let n = 0; n < MAP_ROUNDS; n++) for (const name of names) if (map.get(name) === undefined) found--;
    gets.push(((performance.now() - began) * 1_000) / (MAP_ROUNDS * names.length));
  }
  say(`${(found / ROUNDS / LOOKUPS).toFixed(1)} routes an answer`);
  const of = ` (${spread.name})`;
  return [
    {
      what: `memory of the route index${of}`,
      unit: "bytes an entry",
      more: false,
      service: bytes,
      baseline: LIMIT_BYTES,
      how: `the design's limit; ${OPERATORS} operators of ${LINKS} links, heap and buffers after collection; loaded in ${loading.toFixed(0)} ms of processor time`,
    },
    {
      what: `route look-up${of}`,
      unit: "µs",
      more: false,
      service: median(lookUps),
      baseline: median(gets),
      how: `a bare Map.get of the same keys; the whole answer is made, ${(found / ROUNDS / LOOKUPS).toFixed(0)} routes on average, median of ${LOOKUPS * ROUNDS}`,
    },
  ];
}

function operatorOf(number: number, spread: Spread): Operator {
  const id = `operator-${number}`;
  const connections = Array.from({ length: LINKS }, (_, link) => [
    `link-${link}`,
    {
      adminState: AdminState.ENABLED,
      credential: { active: { id: `credential-${number}-${link}` } },
      throughput: { maxSegmentsPerSecond: 50 },
      coverage: Array.from({ length: ENTRIES }, (_, n) => spread.entry(number, link, n)),
    },
  ]);
  return create(OperatorSchema, {
    id,
    uid: `uid-of-${id}`,
    adminState: AdminState.ENABLED,
    connections: Object.fromEntries(connections) as Operator["connections"],
  });
}

function networkOf(n: number): string {
  return String(20_000 + (n % 60_000));
}

function prefixOf(n: number): string {
  return String(10_000_000 + n);
}

async function memory(): Promise<number> {
  await new Promise((resolve) => setImmediate(resolve));
  collectGarbage();
  collectGarbage();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
}
