import { fromBinary } from "@bufbuild/protobuf";
import { decodeToken } from "@operator-management/client";
import { ConfigEventSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { configChange } from "../../src/db/schema.ts";
import { rawField } from "../../src/relay/config-event.ts";
import { registerRelayMetrics } from "../../src/relay/relay-metrics.ts";
import { until } from "../cluster/until.ts";
import { stepsBack, story } from "./support/stream-and-store.ts";
import { useRelayedStore } from "./support/relayed-store.ts";

const relayed = useRelayedStore();

test("an empty stream is told everything anew: a reset with the position, then each operator's last record", async () => {
  await relayed.store.commit({ put: "beta" }, { put: "alpha" }, { put: "gamma" });
  await relayed.store.commit({ put: "alpha" });
  await relayed.store.commit({ delete: "gamma" });
  const { bus, relay } = await relayed.relay();
  await relayed.told();
  expect(story(bus.taken)).toEqual(["reset", "alpha@2", "beta@1", "gamma@3"]);
  expect(relay.resets).toBe(1);

  const events = bus.taken.map(({ data }) => fromBinary(ConfigEventSchema, data));
  expect(events.map(({ refillLeft }) => refillLeft)).toEqual([3, 2, 1, 0]);
  const [reset] = events;
  const token = reset?.event.case === "reset" ? decodeToken(reset.event.value.token) : undefined;
  expect(token).toMatchObject(await relayed.store.head());
});

test("an empty history is told by a reset alone", async () => {
  const { bus, relay } = await relayed.relay();
  await until("the reset is told", () => relay.published === 1);
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  expect(story(bus.taken)).toEqual(["reset", "alpha@1"]);
});

test("changes follow as they are committed, byte for byte as stored, with their place in the headers", async () => {
  const { bus, relay } = await relayed.relay();
  await until("the reset is told", () => relay.published === 1);
  await relayed.store.commit({ put: "beta" }, { put: "alpha" });
  await relayed.store.commit({ delete: "beta" });
  await relayed.store.commit({ purge: "beta" });
  const head = await relayed.store.commit({ put: "beta" });
  await relayed.told();
  expect(story(bus.taken)).toEqual(["reset", "alpha@1", "beta@1", "beta@2", "beta@3", "beta@4"]);

  const rows = await relayed.store.database.db.select().from(configChange);
  const stored = rows.map(({ record }) => Buffer.from(record).toString("hex")).sort();
  const sent = bus.taken.flatMap(({ data }) => rawField(data, "change") ?? []);
  expect(sent.map((bytes) => Buffer.from(bytes).toString("hex")).sort()).toEqual(stored);
  expect(bus.taken[2]?.headers).toMatchObject({ "Ops-Revision": "1", "Ops-Index": "1", "Ops-Count": "2" });
  expect(bus.taken.at(-1)?.headers).toMatchObject({
    "Ops-Store": Buffer.from(head.store).toString("hex"),
    "Ops-Revision": "4",
    "Ops-Fingerprint": Buffer.from(head.fingerprint).toString("hex"),
    "Ops-Part": "change",
  });
});

test("the next relay goes on where the stream is, and says nothing twice", async () => {
  const first = await relayed.relay();
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  await first.relay.close();
  for (let at = 0; at < 80; at++) await relayed.store.commit({ put: "beta" });
  const second = await relayed.relay();
  await relayed.told();
  expect(second.bus.taken).toHaveLength(80);
  expect(second.relay.resets).toBe(0);
});

test.each(["before", "after"] as const)(
  "an answer lost %s the bus took the message, at any message of a revision, leaves no gap",
  async (when) => {
    const consumer = relayed.consumer();
    const { bus, relay } = await relayed.relay();
    await until("the reset is told", () => relay.published === 1);
    let at = 0;
    bus.fault = () => (at++ % 2 === 0 ? when : undefined);
    for (const id of ["alpha", "beta"]) {
      await relayed.store.commit({ put: id }, { put: `${id}-1` }, { put: `${id}-2` }, { put: `${id}-3` });
    }
    await relayed.told();
    await relayed.heard(consumer);
    expect(story(bus.taken)).toEqual([
      "reset",
      ...["alpha@1", "alpha-1@1", "alpha-2@1", "alpha-3@1", "beta@2", "beta-1@2", "beta-2@2", "beta-3@2"],
    ]);
    expect(relay.resets).toBe(1);
  },
);

test("telling everything anew is finished by the next relay, as of where it began, while history goes on", async () => {
  const ids = Array.from({ length: 40 }, (_, at) => `op-${String(at).padStart(2, "0")}`);
  await relayed.store.commit(...ids.map((put) => ({ put })));
  const first = await relayed.relay();
  first.bus.fault = (subject) => (subject.endsWith("op-20") ? new Promise<never>(() => undefined) : undefined);
  await until("half is told", () => first.bus.taken.length === 21);

  await relayed.store.commit({ put: "op-03" }, { put: "op-30" });
  const second = await relayed.relay();
  await relayed.told();
  const all = [...first.bus.taken, ...second.bus.taken];
  expect(story(all)).toEqual(["reset", ...ids.map((id) => `${id}@1`), "op-03@2", "op-30@2"]);
  expect(stepsBack(all)).toEqual([]);
  expect(second.relay.resets).toBe(0);
});

test("an operator that is too large for the bus is told by reference", async () => {
  const consumer = relayed.consumer();
  const { bus, relay } = await relayed.relay({ maxBytes: 1_000 });
  await relayed.store.commit({ put: "small" }, { put: "large", with: { notes: "x".repeat(2_000) } });
  await until("both are told", () => relay.published >= 3);
  await relayed.heard(consumer);
  const large = bus.taken.find(({ subject }) => subject.endsWith(".large"));
  expect(large?.data.length).toBeLessThan(300);
  expect(fromBinary(ConfigEventSchema, large!.data).event).toMatchObject({
    case: "reference",
    value: { operatorId: "large", revision: 1n },
  });
});

test("a bus or database that is away is one line in the log, and what waited follows", async () => {
  const { bus, log, relay } = await relayed.relay();
  await until("the reset is told", () => relay.published === 1);
  bus.down = true;
  await relayed.store.commit({ put: "alpha" });
  const { looks } = bus;
  await until("it has tried again and again", () => bus.looks > looks + 3);
  expect(relay.lag).toBe(1);
  bus.down = false;
  await relayed.told();
  await until("it says so", () => log.some(({ msg }) => msg === "changes are relayed again"));
  expect(log.filter(({ level }) => level >= 40).map(({ msg }) => msg)).toEqual([
    "the stream is empty or of another history: telling everything anew",
    "changes wait to be relayed",
  ]);
});

test("the metrics say who leads, how far it is and what it did", async () => {
  const { relay } = await relayed.relay();
  const registry = new Registry();
  registerRelayMetrics(registry, relay);
  await relayed.store.commit({ put: "alpha" });
  await relayed.told();
  await until("it knows", () => relay.lag === 0 && relay.published === 2);
  const text = await registry.metrics();
  expect(text).toMatch(/^ops_relay_lag_revisions 0$/m);
  expect(text).toMatch(/^ops_relay_leader 1$/m);
  expect(text).toMatch(/^ops_relay_published 2$/m);
  expect(text).toMatch(/^ops_relay_resets 1$/m);
});
