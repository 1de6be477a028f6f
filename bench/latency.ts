import pg from "pg";
import type { Pod } from "../test/cluster/cluster.ts";
import { adminWriter } from "./admin-writer.ts";
import type { Figure } from "./figure.ts";
import { ROUNDS, type Scene } from "./scene.ts";
import { OPERATOR, type Statement } from "./same-transaction.ts";
import { median, quantile } from "./statistics.ts";
import { openWatches, WATCH_OPERATORS } from "./watch-streams.ts";

const CHANGES = 100;

/** From the request of a change to its arrival at a watcher: of the replica that made it, and of another one. */
export async function latency({ cluster, pod, editors, baselineDatabase, transaction, say }: Scene): Promise<Figure[]> {
  const other = await cluster.startPod();
  const same: number[] = [];
  const across: number[] = [];
  const baseline: number[] = [];
  try {
    for (let round = 1; round <= ROUNDS; round++) {
      same.push(...(await changesSeen(pod, pod, editors)));
      across.push(...(await changesSeen(pod, other, editors)));
      baseline.push(...(await notificationsSeen(baselineDatabase, transaction)));
      const [a, b, c] = [same, across, baseline].map((all) => median(all).toFixed(1));
      say(`round ${round}: watcher of the same replica ${a} ms, of another ${b} ms, NOTIFY ${c} ms`);
    }
  } finally {
    await other.stop();
  }
  const how =
    "the same transaction by node-postgres, from BEGIN to its NOTIFY on another connection; service: from UpdateOperator's request to the change on a gRPC watch, one at a time";
  const figure = (what: string, service: readonly number[], part: number): Figure => ({
    what: `change → watcher of ${what}, p${part * 100}`,
    unit: "ms",
    more: false,
    service: quantile(service, part),
    baseline: quantile(baseline, part),
    how,
  });
  return [
    figure("the same replica", same, 0.5),
    figure("another replica", across, 0.5),
    figure("another replica", across, 0.99),
  ];
}

async function changesSeen(writing: Pod, watched: Pod, editors: readonly string[]): Promise<number[]> {
  const watches = await openWatches(watched.service.url, WATCH_OPERATORS, 1);
  const writer = adminWriter(writing.service.url, editors[0] ?? "", 0);
  try {
    const times: number[] = [];
    for (let n = 0; n < CHANGES; n++) {
      const arrival = watches.next(1);
      const began = performance.now();
      await Promise.all([writer.update(), arrival]);
      times.push((await arrival).last - began);
    }
    return times;
  } finally {
    writer.close();
    watches.close();
  }
}

async function notificationsSeen(databaseUrl: string, transaction: readonly Statement[]): Promise<number[]> {
  const [writer, listener] = [databaseUrl, databaseUrl].map((connectionString) => new pg.Client({ connectionString }));
  if (writer === undefined || listener === undefined) throw new Error("no client");
  try {
    await Promise.all([writer.connect(), listener.connect()]);
    await listener.query("listen config_changed");
    const times: number[] = [];
    for (let n = 0; n < CHANGES; n++) {
      const { promise, resolve } = Promise.withResolvers<number>();
      listener.once("notification", () => resolve(performance.now()));
      const began = performance.now();
      await runTransaction(writer, transaction);
      times.push((await promise) - began);
    }
    return times;
  } finally {
    await Promise.all([writer.end(), listener.end()]);
  }
}

async function runTransaction(client: pg.Client, statements: readonly Statement[]): Promise<void> {
  const known = new Map<string, string>([[OPERATOR, "0"]]);
  await client.query("begin");
  for (const { sql, keepAs } of statements) {
    // `head_now` and the like are values of this database itself.
    const text = sql.replaceAll(/(?<!:):[a-z_]+/g, (name) => `'${known.get(name) ?? ""}'`);
    const { rows } = await client.query<Record<string, unknown>>(text);
    if (keepAs === undefined) continue;
    for (const [column, value] of Object.entries(rows[0] ?? {})) {
      known.set(`:${keepAs}_${column}`, value instanceof Date ? value.toISOString() : String(value));
    }
  }
  await client.query("commit");
}
