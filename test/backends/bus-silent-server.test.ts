import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { openJetStreamBus } from "../../src/backends/bus/jetstream-bus.ts";
import { until } from "../cluster/until.ts";
import { keptLog } from "./jetstream-buses.ts";

test("a server that takes connections and says nothing, such as a frozen one, costs no sockets", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const held = (): Promise<number> => new Promise((resolve) => server.getConnections((_, count) => resolve(count)));
  const log = keptLog();
  const bus = openJetStreamBus({
    ...log,
    servers: [`127.0.0.1:${(server.address() as AddressInfo).port}`],
    user: "ops",
    password: { get: () => Promise.resolve("secret"), forget: () => undefined },
    streams: "ensure",
    replicas: 1,
  });
  await until("it has given up once", () => log.lines.length > 0);
  expect(log.lines).toMatchObject([{ level: "warn" }]);
  await bus.close();
  await until("its sockets are gone", async () => (await held()) === 0, 10_000);
  server.close();
});
