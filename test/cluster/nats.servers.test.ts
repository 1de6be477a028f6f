import { connect, type NatsConnection } from "nats";
import { expect, test } from "vitest";
import { startNats, type Nats } from "./nats.ts";
import { until } from "./until.ts";

test("a replicated stream outlives kill -9 of its leader, which then comes back on its folder", async () => {
  await using nats = await startNats();
  const connection = await connectTo(nats);
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: "SEEN", subjects: ["seen"], num_replicas: 3 });
  const jetstream = connection.jetstream();
  expect(await jetstream.publish("seen", "1")).toMatchObject({ seq: 1 });

  const leader = await nats.leaderOf("SEEN");
  await nats.nodes[leader]!.server.kill();
  await until("another node leads and takes messages", async () => (await jetstream.publish("seen", "2")).seq > 1);
  expect(await nats.leaderOf("SEEN")).not.toBe(leader);

  await nats.nodes[leader]!.server.start();
  await until("all three are current", async () => {
    const { cluster } = await manager.streams.info("SEEN");
    return cluster?.replicas?.filter(({ current }) => current).length === 2;
  });
  await connection.close();
});

test("one node keeps what it acknowledged over kill -9", async () => {
  await using nats = await startNats({ nodes: 1 });
  const connection = await connectTo(nats);
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: "SEEN", subjects: ["seen"] });
  await connection.jetstream().publish("seen", "1");
  await nats.nodes[0]!.server.kill();
  await nats.nodes[0]!.server.start();
  await until("it is back", async () => (await manager.streams.info("SEEN")).state.messages === 1);
  await connection.close();
});

test("Debian's older server starts with the same configuration", async () => {
  await using nats = await startNats({ binary: "/usr/sbin/nats-server" });
  const connection = await connectTo(nats);
  const manager = await connection.jetstreamManager();
  await manager.streams.add({ name: "SEEN", subjects: ["seen"], num_replicas: 3 });
  expect(await connection.jetstream().publish("seen", "1")).toMatchObject({ seq: 1 });
  await connection.close();
});

test("nobody gets in without the password", async () => {
  await using nats = await startNats({ nodes: 1 });
  const { servers } = nats;
  await expect(connect({ servers: [...servers], user: nats.user, pass: "wrong" })).rejects.toThrow("Authorization");
});

function connectTo({ servers, user, password }: Nats): Promise<NatsConnection> {
  return connect({ servers: [...servers], user, pass: password, maxReconnectAttempts: -1, reconnectTimeWait: 50 });
}
