import { once } from "node:events";
import { createServer, type AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { dialNats } from "../../src/backends/bus/nats-dial.ts";

test("a connection that is taken and ended without a word is a failed dial, not one that lasts for ever", async () => {
  const server = createServer((socket) => socket.end()).listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  await expect(dialNats({ server: `127.0.0.1:${port}`, user: undefined, password: "" })).rejects.toThrow(
    "without a word",
  );
  server.close();
});
