import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import type { Bus } from "../../src/backends/bus/bus.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { until } from "../cluster/until.ts";
import { startFollowTraffic, type FollowTraffic } from "./follow-traffic.ts";
import { asAdmin, connected, jetStreamBus, removeStreams } from "./jetstream-buses.ts";
import { bytes, text } from "./message-text.ts";

let nats: Nats;
const buses: Bus[] = [];
const { signal } = new AbortController();

beforeAll(async () => {
  nats = await startNats({ nodes: 3 });
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await Promise.all(nats.nodes.map(async ({ server }) => (server.running ? server.resume() : server.start())));
  await until("the servers are well", () => removeStreams(nats).then(() => true), 60_000);
});
afterAll(() => nats[Symbol.asyncDispose]());

async function open(): Promise<Bus> {
  const bus = jetStreamBus(nats);
  buses.push(bus);
  await connected(bus);
  return bus;
}

/** Every follower knows at the end what the stream holds; how many messages that took is shown. */
async function expectNothingMissed(fault: string, ...traffics: FollowTraffic[]): Promise<void> {
  const counts = await Promise.all(traffics.map((traffic) => traffic.end()));
  console.info(fault, JSON.stringify(counts));
  for (const { published, taken, older } of counts) {
    expect(older).toBe(0);
    expect(published).toBeGreaterThan(0);
    expect(taken).toBeGreaterThan(0);
  }
}

const PATIENCE = { timeout: 240_000 };

test(
  "the stream's leader is killed, then each node in turn: the followers go on and miss nothing",
  PATIENCE,
  async () => {
    const traffics = [
      startFollowTraffic("a", await open(), await open()),
      startFollowTraffic("b", await open(), await open()),
    ];
    await Promise.all(traffics.map((traffic) => traffic.following.caughtUp));
    const first = await nats.leaderOf("OPS_HEALTH");
    for (const index of [first, first + 1, first + 2]) {
      const { server } = nats.nodes[index % 3]!;
      await server.kill();
      await Promise.all(traffics.map((traffic) => traffic.flows()));
      await server.start();
      await Promise.all(traffics.map((traffic) => traffic.flows()));
    }
    await expectNothingMissed("each node killed in turn:", ...traffics);
  },
);

test("all nodes are killed and come back: the followers go on and miss nothing", PATIENCE, async () => {
  const traffic = startFollowTraffic("a", await open(), await open());
  await traffic.flows();
  await Promise.all(nats.nodes.map(({ server }) => server.kill()));
  await until("both have noticed", () => buses.every((bus) => !bus.connected));
  const during = startFollowTraffic("b", buses[0]!, buses[1]!);
  let early = false;
  void during.following.caughtUp.then(() => (early = true));
  await Promise.all(nats.nodes.map(({ server }) => server.start()));
  await during.following.caughtUp;
  expect(early).toBe(true);
  await traffic.flows();
  await expectNothingMissed("all nodes killed:", traffic, during);
});

test("a node is frozen for a while: the followers go on and miss nothing", PATIENCE, async () => {
  const traffic = startFollowTraffic("a", await open(), await open());
  await traffic.flows();
  for (const { server } of nats.nodes) {
    server.pause();
    await traffic.flows();
    server.resume();
    await traffic.flows();
  }
  await expectNothingMissed("each node frozen in turn:", traffic);
});

test("the stream is deleted, or emptied, while it is followed: what comes next is taken", PATIENCE, async () => {
  const traffic = startFollowTraffic("a", await open(), await open());
  await traffic.flows();
  await asAdmin(nats, (manager) => manager.streams.delete("OPS_HEALTH"));
  await traffic.flows();
  await asAdmin(nats, (manager) => manager.streams.purge("OPS_HEALTH"));
  await traffic.flows();
  await expectNothingMissed("stream deleted, purged:", traffic);
});

test("a stream that was deleted and filled while nobody looked is read anew", PATIENCE, async () => {
  const bus = await open();
  const got: string[] = [];
  const following = bus.follow("OPS_HEALTH", (message) => void got.push(text(message)));
  await bus.publish("ops.health.v1.a.b.c", bytes("before"), { signal });
  await until("it came", () => got.length === 1);
  await asAdmin(nats, async (manager) => {
    const { config } = await manager.streams.info("OPS_HEALTH");
    await manager.streams.delete("OPS_HEALTH");
    await manager.streams.add(config);
    await manager.jetstream().publish("ops.health.v1.a.b.c", bytes("after"));
  });
  await until("it came", () => got.includes("after"));
  await following.close();
});
