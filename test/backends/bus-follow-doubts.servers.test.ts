import { connect, type JetStreamManager } from "nats";
import { afterAll, afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import type { Bus } from "../../src/backends/bus/bus.ts";
import { pull } from "../../src/backends/bus/pull.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { until } from "../cluster/until.ts";
import { asAdmin, connected, jetStreamBus, removeStreams } from "./jetstream-buses.ts";
import { bytes, text } from "./message-text.ts";

const STREAM = "OPS_HEALTH";
const { signal } = new AbortController();
let nats: Nats;
let bus: Bus;
let got: string[];

beforeAll(async () => {
  nats = await startNats({ nodes: 1 });
});
beforeEach(async () => {
  bus = jetStreamBus(nats);
  await connected(bus);
  got = [];
  await bus.follow(STREAM, (message) => void got.push(text(message))).caughtUp;
});
afterEach(async () => {
  await bus.close();
  await removeStreams(nats);
});
afterAll(() => nats[Symbol.asyncDispose]());

const report = (body: string): Promise<number> =>
  bus.publish(`ops.health.v1.uid.main.node-${body}`, bytes(body), { signal });
const readers = async (manager: JetStreamManager): Promise<string[]> =>
  (await manager.consumers.list(STREAM).next()).map(({ name }) => name);

test("a message that was sent to somebody else leaves a gap in the numbers: all is read anew", async () => {
  const [reader] = await asAdmin(nats, readers);
  const thief = await connect({ servers: [...nats.servers], user: nats.user, pass: nats.password });
  const stolen: string[] = [];
  let next = 0;
  while (stolen.length === 0) {
    const request = { stream: STREAM, consumer: reader!, batch: 1, waitMs: 1_000 };
    const stealing = pull(thief, request, ({ data }) => void stolen.push(new TextDecoder().decode(data)), signal);
    for (const end = next + 5; next < end; next++) await report(String(next));
    await stealing;
  }
  await thief.close();
  await report("last");
  await until("all came", () => new Set(got).size === next + 1);
  expect(got).toEqual(expect.arrayContaining(stolen));
  expect(await asAdmin(nats, readers)).not.toContain(reader);
});

test("a reader that answers but sends nothing, though the stream holds more, is replaced", async () => {
  await report("1");
  const [reader] = await asAdmin(nats, readers);
  await asAdmin(nats, (manager) => manager.consumers.pause(STREAM, reader!, new Date(Date.now() + 3_600_000)));
  await report("2");
  await until("it came", () => got.includes("2"), 40_000);
  expect(await asAdmin(nats, readers)).not.toContain(reader);
});

test("a reader that is gone is replaced", async () => {
  await asAdmin(nats, async (manager) => manager.consumers.delete(STREAM, (await readers(manager))[0]!));
  await report("1");
  await until("it came", () => got.includes("1"));
});

test("a follower that heard nothing for 20 seconds is still there, with the same reader, also when the last message was removed", async () => {
  await report("1");
  const sequence = await report("2");
  const before = await asAdmin(nats, readers);
  await asAdmin(nats, (manager) => manager.streams.deleteMessage(STREAM, sequence));
  const start = Date.now();
  await until("20 seconds have passed", () => Date.now() - start > 20_000);
  await report("3");
  await until("it came", () => got.includes("3"), 2_000);
  expect(got).toEqual(["1", "2", "3"]);
  expect(await asAdmin(nats, readers)).toEqual(before);
});

test("closing removes the reader", async () => {
  const following = bus.follow(STREAM, () => undefined);
  await following.caughtUp;
  expect(await asAdmin(nats, readers)).toHaveLength(2);
  await following.close();
  await until("one is left", async () => (await asAdmin(nats, readers)).length === 1);
});
