import { connect, nanos, RetentionPolicy } from "nats";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Bus } from "../../src/backends/bus/bus.ts";
import type { JetStreamBusOptions } from "../../src/backends/bus/jetstream-bus.ts";
import { makeReader } from "../../src/backends/bus/jetstream-reader.ts";
import { natsSession } from "../../src/backends/bus/nats-session.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { until } from "../cluster/until.ts";
import { bytes } from "./message-text.ts";
import { asAdmin, connected, jetStreamBus, keptLog, removeStreams } from "./jetstream-buses.ts";

const MINUTE_MS = 60_000;
const DAY_MS = 24 * 60 * MINUTE_MS;
let nats: Nats;
const buses: Bus[] = [];
const { signal } = new AbortController();

beforeAll(async () => {
  nats = await startNats({ nodes: 1 });
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await removeStreams(nats);
});
afterAll(() => nats[Symbol.asyncDispose]());

function open(options: Partial<JetStreamBusOptions> = {}): Bus {
  const bus = jetStreamBus(nats, options);
  buses.push(bus);
  return bus;
}

test("the streams are made as they should be", async () => {
  await connected(open());
  const [config, audit, health, state, dlq] = await asAdmin(nats, (manager) =>
    Promise.all(
      ["OPS_CONFIG", "OPS_AUDIT", "OPS_HEALTH", "OPS_STATE", "OPS_DLQ"].map(
        async (name) => (await manager.streams.info(name)).config,
      ),
    ),
  );
  expect(config).toMatchObject({
    subjects: ["ops.config.v1.>"],
    retention: "limits",
    storage: "file",
    max_msgs_per_subject: 1,
    max_age: 0,
    max_msgs: -1,
    max_bytes: -1,
  });
  expect(audit).toMatchObject({ subjects: ["ops.audit.v1"], retention: "workqueue", storage: "file", max_age: 0 });
  const limits = { retention: "limits", storage: "file", max_bytes: -1 };
  const of = (subject: string, max_msgs_per_subject: number, ageMs: number) => ({
    ...limits,
    subjects: [subject],
    max_msgs_per_subject,
    max_age: nanos(ageMs),
  });
  expect(health).toMatchObject(of("ops.health.v1.>", 1, 20 * MINUTE_MS));
  expect(state).toMatchObject(of("ops.state.v1.>", 500, 0));
  expect(dlq).toMatchObject(of("ops.dlq.v1.>", 1_000, 30 * DAY_MS));
});

test("a stream's settings are adapted where that is possible, and what was set besides is left alone", async () => {
  const config = { name: "OPS_CONFIG", subjects: ["ops.config.v1.>"], max_msgs_per_subject: 7, max_bytes: 1_000_000 };
  await asAdmin(nats, (manager) => manager.streams.add(config));
  await connected(open());
  const adapted = await asAdmin(nats, (manager) => manager.streams.info("OPS_CONFIG"));
  expect(adapted.config).toMatchObject({ max_msgs_per_subject: 1, max_bytes: 1_000_000 });
});

test("a stream that can't be adapted is a matter for a person: one error, until it is put right", async () => {
  const wrong = { name: "OPS_AUDIT", subjects: ["ops.audit.v1"], retention: RetentionPolicy.Limits };
  await asAdmin(nats, (manager) => manager.streams.add(wrong));
  const log = keptLog();
  const bus = open(log);
  await until("it has told", () => log.lines.length > 0);
  expect(bus.connected).toBe(false);
  expect(log.lines[0]).toMatchObject({ level: "error" });
  expect(JSON.stringify(log.lines[0]!.details)).toContain("OPS_AUDIT has retention");
  await asAdmin(nats, (manager) => manager.streams.delete("OPS_AUDIT"));
  await connected(bus);
  expect(log.lines.map(({ level }) => level)).toEqual(["error", "info"]);
});

test("with expect it makes no stream, says which are missing, and works once somebody else has made them", async () => {
  const log = keptLog();
  const bus = open({ ...log, streams: "expect" });
  await until("it has told", () => log.lines.length > 0);
  expect(log.lines[0]).toMatchObject({ level: "error" });
  expect(JSON.stringify(log.lines[0]!.details)).toMatch(
    /OPS_CONFIG is missing.*OPS_AUDIT is missing.*OPS_HEALTH is missing.*OPS_STATE is missing.*OPS_DLQ is missing/,
  );
  expect(await asAdmin(nats, async (manager) => (await manager.streams.list().next()).length)).toBe(0);
  await asAdmin(nats, async (manager) => {
    await manager.streams.add({ name: "OPS_CONFIG", subjects: ["ops.config.v1.>"], max_msgs_per_subject: 1 });
    const retention = RetentionPolicy.Workqueue;
    await manager.streams.add({ name: "OPS_AUDIT", subjects: ["ops.audit.v1"], retention });
    const limits = {
      OPS_HEALTH: [1, 20 * MINUTE_MS],
      OPS_STATE: [500, 0],
      OPS_DLQ: [1_000, 30 * DAY_MS],
      OPS_ATTEMPTS: [1, DAY_MS],
    };
    for (const [name, [most, age]] of Object.entries(limits)) {
      const subjects = [`${name.toLowerCase().replace("_", ".")}.v1.>`];
      await manager.streams.add({ name, subjects, max_msgs_per_subject: most!, max_age: nanos(age!) });
    }
  });
  await connected(bus);
  expect(await bus.publish("ops.config.v1.a", bytes("1"), { signal })).toBe(1);
});

test("a rotated password is asked for anew; no password is logged", async () => {
  let kept = "an old password";
  const password = { get: () => Promise.resolve(kept), forget: () => void (kept = nats.password) };
  const log = keptLog();
  await connected(open({ ...log, password }));
  expect(log.lines.map(({ level }) => level)).toEqual(["warn", "info"]);
  expect(JSON.stringify(log.lines)).not.toMatch(new RegExp(`an old password|${nats.password}`));
});

test("a password that stays wrong is one error, and a place of passwords that is away is waited for", async () => {
  let answer = (): Promise<string> => Promise.resolve("wrong");
  const password = { get: () => answer(), forget: () => undefined };
  const log = keptLog();
  const bus = open({ ...log, password });
  await until("it has told", () => log.lines.some(({ level }) => level === "error"));
  answer = () => Promise.reject(new Error("no password can be read"));
  expect(JSON.stringify(log.lines)).not.toContain("wrong");
  answer = () => Promise.resolve(nats.password);
  await connected(bus);
  expect(log.lines.map(({ level }) => level)).toEqual(["warn", "error", "info"]);
});

test("closing ends it while it is still trying", async () => {
  const bus = open({ servers: ["127.0.0.1:9"] });
  const consumption = bus.consume({ stream: "OPS_AUDIT", durable: "writer" }, () => Promise.resolve());
  await consumption.close();
  await bus.close();
  await expect(bus.lastSequence("OPS_CONFIG", signal)).rejects.toThrow("not connected");
});

test("a new reader that the servers don't know yet is asked again; one that has answered and is gone is not", async () => {
  const bus = open();
  await connected(bus);
  await bus.publish("ops.config.v1.operator.acme", bytes("1"), { signal });
  const connection = await connect({ servers: [...nats.servers], user: nats.user, pass: nats.password });
  try {
    const session = await natsSession(connection);
    const { consumers } = session.manager;
    const reader = await makeReader(session, "OPS_CONFIG");
    const [made] = await consumers.list("OPS_CONFIG").next();
    if (made === undefined) throw new Error("no reader");
    const got: string[] = [];
    const pull = () => reader.pull({ batch: 1, waitMs: 0 }, (message) => void got.push(message.string()), signal);
    await consumers.delete("OPS_CONFIG", made.name);
    const pulled = pull(); // asked before it is there again, as on one connection all is done in turn
    await consumers.add("OPS_CONFIG", { ...made.config, name: made.name });
    expect(await pulled).toBeUndefined();
    expect(got).toEqual(["1"]);
    await consumers.delete("OPS_CONFIG", made.name);
    expect(await pull()).toMatchObject({ code: 503 });
  } finally {
    await connection.close();
  }
});
