import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { BusUnavailableError, type Bus } from "../../src/backends/bus/bus.ts";
import type { JetStreamBusOptions } from "../../src/backends/bus/jetstream-bus.ts";
import { startLinks, type Link, type Links } from "../cluster/links.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { bytes, text } from "./message-text.ts";
import { startTraffic, type Traffic } from "./bus-traffic.ts";
import { asAdmin, connected, jetStreamBus, keptLog, removeStreams } from "./jetstream-buses.ts";
import { until } from "../cluster/until.ts";

let nats: Nats;
let links: Links;
const buses: Bus[] = [];
const { signal } = new AbortController();

beforeAll(async () => {
  [nats, links] = await Promise.all([startNats({ nodes: 3 }), startLinks()]);
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await Promise.all(nats.nodes.map(async ({ server }) => (server.running ? server.resume() : server.start())));
  await until("the servers are well", () => removeStreams(nats).then(() => true), 60_000);
});
afterAll(async () => {
  await links[Symbol.asyncDispose]();
  await nats[Symbol.asyncDispose]();
});

async function open(options: Partial<JetStreamBusOptions> = {}): Promise<Bus> {
  const bus = jetStreamBus(nats, options);
  buses.push(bus);
  await connected(bus);
  return bus;
}

/** Nothing that was confirmed is lost, and nothing comes before what was published earlier. */
async function expectAllInOrder(traffic: Traffic): Promise<void> {
  const { published, handled } = await traffic.end();
  expect([...new Set(handled)].slice(0, published.length)).toEqual(published);
}

const PATIENCE = { timeout: 240_000 };

test("the stream's leader is killed: what was confirmed arrives, in order", PATIENCE, async () => {
  const log = keptLog();
  const traffic = startTraffic(await open(log), await open());
  await traffic.flows();
  const leader = nats.nodes[await nats.leaderOf("OPS_AUDIT")]!;
  await leader.server.kill();
  await traffic.flows();
  await leader.server.start();
  await traffic.flows();
  await expectAllInOrder(traffic);
});

test(
  "all nodes are killed and come back: what was confirmed arrives, in order; the log says so once",
  PATIENCE,
  async () => {
    const log = keptLog();
    const publisher = await open(log);
    const traffic = startTraffic(publisher, await open());
    await traffic.flows();
    await Promise.all(nats.nodes.map(({ server }) => server.kill()));
    await until("it has noticed", () => !publisher.connected);
    await expect(publisher.lastMessage("OPS_AUDIT", signal)).rejects.toBeInstanceOf(BusUnavailableError);
    await Promise.all(nats.nodes.map(({ server }) => server.start()));
    await traffic.flows();
    await connected(publisher);
    await expectAllInOrder(traffic);
    expect(log.lines.map(({ level }) => level)).toEqual(["info", "warn", "info"]);
    expect(JSON.stringify(log.lines)).not.toContain(nats.password);
  },
);

test("the node that it talks to is frozen: it goes on with another", PATIENCE, async () => {
  const log = keptLog();
  const traffic = startTraffic(await open(log), await open());
  await traffic.flows();
  const { server } = log.lines[0]!.details as { server: string };
  const frozen = nats.nodes.find(({ port }) => server.endsWith(`:${port}`))!;
  frozen.server.pause();
  await traffic.flows();
  frozen.server.resume();
  await traffic.flows();
  await expectAllInOrder(traffic);
});

test("its way to the node swallows everything: it goes on with another", PATIENCE, async () => {
  const log = keptLog();
  const ways = await Promise.all(nats.nodes.map(({ port }) => links.to("127.0.0.1", port)));
  const servers = ways.map(({ port }) => `127.0.0.1:${port}`);
  const traffic = startTraffic(await open({ ...log, servers }), await open());
  await traffic.flows();
  const { server } = log.lines[0]!.details as { server: string };
  const way: Link = ways.find(({ port }) => server.endsWith(`:${port}`))!;
  await way.blackHole();
  await traffic.flows();
  // Nothing told it of other addresses than its links.
  await Promise.all(ways.map((one) => one.cut()));
  const cutAt = traffic.published;
  await until("it has noticed", () => !buses[0]!.connected);
  await expect(buses[0]!.publish("ops.audit.v1", bytes("no"), { signal })).rejects.toBeInstanceOf(BusUnavailableError);
  expect(traffic.published - cutAt).toBeLessThan(2);
  await Promise.all(ways.map((one) => one.heal()));
  await traffic.flows();
  await expectAllInOrder(traffic);
});

test("it starts before the servers do", PATIENCE, async () => {
  await Promise.all(nats.nodes.map(({ server }) => server.stop()));
  const log = keptLog();
  const bus = jetStreamBus(nats, log);
  buses.push(bus);
  await expect(bus.publish("ops.config.v1.a", bytes("1"), { signal })).rejects.toBeInstanceOf(BusUnavailableError);
  const traffic = startTraffic(bus, bus);
  await until("it has tried", () => log.lines.length > 0);
  await Promise.all(nats.nodes.map(({ server }) => server.start()));
  await traffic.flows();
  await expectAllInOrder(traffic);
  await connected(bus);
  expect(log.lines.map(({ level }) => level)).toEqual(["warn", "info"]);
});

test(
  "a stream or a consumer that is deleted while it is used is made again, and the next messages arrive",
  PATIENCE,
  async () => {
    const bus = await open();
    const got: string[] = [];
    bus.consume({ stream: "OPS_AUDIT", durable: "writer" }, async (message) => void got.push(text(message)));
    const arrives = async (body: string): Promise<void> => {
      // What is published into the gap may go down with the stream.
      await until(`${body} arrives`, async () => {
        await bus.publish("ops.audit.v1", bytes(body), { signal });
        return got.includes(body);
      });
    };
    await arrives("1");
    await asAdmin(nats, (manager) => manager.consumers.delete("OPS_AUDIT", "writer"));
    await arrives("2");
    await asAdmin(nats, (manager) => manager.streams.delete("OPS_AUDIT"));
    await arrives("3");
    expect([...new Set(got)]).toEqual(["1", "2", "3"]);
  },
);
