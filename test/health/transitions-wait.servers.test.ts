import { create, toBinary } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { HealthTransitionSchema, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { Bus } from "../../src/backends/bus/bus.ts";
import { REDELIVERY_PAUSES, redeliveryPause } from "../../src/backends/bus/redelivery.ts";
import { ClosingStack } from "../../src/closing-stack.ts";
import type { OpenDatabase } from "../../src/db/db.ts";
import { stateSubject } from "../../src/health/subjects.ts";
import { storeTransitions, TRANSITION_CONSUMER } from "../../src/health/transition-writer.ts";
import { asAdmin, connected, jetStreamBus, keptLog } from "../backends/jetstream-buses.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { migrated, opened } from "../db/opened-database.ts";
import { uidOf } from "./support/health-pods.ts";

/** Of the outage, by its real pauses; here they are a thousandth. */
const AWAY_MS = 30 * 60_000;
const COMPRESSED = { firstMs: REDELIVERY_PAUSES.firstMs / 1_000, maxMs: REDELIVERY_PAUSES.maxMs / 1_000 };

const { UP, DOWN } = OperationalState;
const links = ["one", "two", "three", "four"].map((id) => ({ operatorUid: uidOf(id), connectionId: "main" }));
const CHANGES_PER_LINK = 30;

let postgres: Postgres;
let nats: Nats;
let database: OpenDatabase;
const closing = new ClosingStack();

beforeAll(async () => {
  [postgres, nats] = await Promise.all([startPostgres({ replica: false }), startNats({ nodes: 1 })]);
  closing.push("nats", () => Promise.resolve(nats[Symbol.asyncDispose]()));
  closing.push("postgres", () => Promise.resolve(postgres[Symbol.asyncDispose]()));
  await migrated(postgres);
  database = opened({ primary: postgres.serviceUrl, replica: undefined, password: undefined });
  closing.push("the database", () => database.close());
}, 120_000);
afterAll(() => closing.close());

/** One of the processes that store transitions. */
async function startWriter(): Promise<{ readonly bus: Bus; readonly close: () => Promise<void> }> {
  const bus = jetStreamBus(nats, { pauses: COMPRESSED });
  await connected(bus);
  const { logger } = keptLog();
  const consumption = storeTransitions({ bus, db: database.db, logger, now: () => new Date() });
  const close = async (): Promise<void> => {
    await consumption.close();
    await bus.close();
  };
  return { bus, close };
}

/** How often a message is tried while the database is away. */
function triesInOutage(): number {
  let tries = 1;
  for (let passed = 0; passed < AWAY_MS; tries++) passed += redeliveryPause(tries, REDELIVERY_PAUSES);
  return tries;
}

test("as many tries as half an hour without the database makes: nothing is a dead letter, and all is stored, once and in order", async () => {
  const [first, second] = [await startWriter(), await startWriter()];
  closing.push("the second writer", () => second.close());
  const { streams } = await asAdmin(nats, async (manager) => ({ streams: await manager.streams.list().next() }));
  expect(streams.map(({ config }) => config.name)).toContain("OPS_DLQ");
  await postgres.primary.server.kill();

  const records: string[] = [];
  const start = Date.now();
  for (let change = 0; change < CHANGES_PER_LINK; change++) {
    for (const link of links) {
      const [from, to] = change % 2 === 0 ? [DOWN, UP] : [UP, DOWN];
      const time = timestampFromMs(start + change * 1_000);
      const transition = create(HealthTransitionSchema, { ...link, operatorId: "any", from, to, time });
      const data = toBinary(HealthTransitionSchema, transition);
      records.push(Buffer.from(data).toString("hex"));
      await first.bus.publish(stateSubject(link), data, { signal: AbortSignal.timeout(10_000) });
    }
  }
  const { stream, durable } = TRANSITION_CONSUMER;
  const consumer = () => asAdmin(nats, (manager) => manager.consumers.info(stream, durable));
  const tries = triesInOutage();
  expect(tries).toBeGreaterThan(100);
  await until("it was tried half as often", async () => (await consumer()).delivered.consumer_seq >= tries / 2, 60_000);
  await first.close(); // the other one goes on, on its own
  await until("it was tried as often", async () => (await consumer()).delivered.consumer_seq >= tries, 60_000);
  expect((await consumer()).ack_floor.stream_seq, "nothing was given up").toBe(0);

  await postgres.primary.server.start();
  await until("all is stored", async () => (await consumer()).ack_floor.stream_seq === records.length, 60_000);
  // The table is only ever added to, so its rows lie in the order of their insertion.
  const rows = await postgres.primary.query<{ record: Buffer }>("SELECT record FROM health_transition ORDER BY ctid");
  expect(rows.map(({ record }) => record.toString("hex"))).toEqual(records);
  const dead = await asAdmin(nats, (manager) => manager.streams.info("OPS_DLQ"));
  expect(dead.state.messages).toBe(0);
  console.log(
    `${tries} tries, as in ${AWAY_MS / 60_000} minutes; ${records.length} transitions stored, 0 dead letters`,
  );
});
