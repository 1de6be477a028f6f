import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { afterEach, beforeEach, expect, test } from "vitest";
import { startLinks, type Link, type Links } from "./links.ts";

let links: Links;
let echo: Server;
let link: Link;

beforeEach(async () => {
  links = await startLinks();
  echo = await echoServer("");
  link = await links.to("127.0.0.1", portOf(echo));
});

afterEach(async () => {
  echo.close();
  await links[Symbol.asyncDispose]();
});

test("a cut link ends what is open and refuses what is new, until it is healed", async () => {
  const open = await talk();
  const closed = once(open, "close");
  await link.cut();
  await closed;
  await expect(talk()).rejects.toMatchObject({ code: "ECONNREFUSED" });
  await link.heal();
  (await talk()).destroy();
});

test("a black hole takes connections and keeps the open ones, and nothing comes back", async () => {
  const open = await talk();
  let heard = false;
  open.on("data", () => (heard = true));
  await link.blackHole();
  open.write("anybody?");
  const late = connect(link.port, "127.0.0.1");
  await once(late, "connect");
  late.on("data", () => (heard = true)).write("anybody?");
  const lost = Promise.all([once(open, "close"), once(late, "close")]);
  await link.heal();
  await lost;
  expect(heard).toBe(false);
  (await talk()).destroy();
});

test("a slow link delays answers; a retargeted one leads elsewhere from the same port", async () => {
  await link.slow(300);
  const start = performance.now();
  (await talk()).destroy();
  expect(performance.now() - start).toBeGreaterThanOrEqual(299);

  const other = await echoServer("other:");
  await link.heal();
  await link.retarget(portOf(other));
  const socket = connect(link.port, "127.0.0.1");
  expect(String((await once(socket, "data"))[0])).toContain("other:");
  socket.destroy();
  other.close();
});

/** A connection through the link that was answered once. */
async function talk(): Promise<Socket> {
  const socket = connect(link.port, "127.0.0.1");
  await once(socket, "connect");
  socket.write("hello");
  await once(socket, "data");
  return socket;
}

async function echoServer(greeting: string): Promise<Server> {
  const server = createServer((socket) => {
    if (greeting !== "") socket.write(greeting);
    socket.on("error", () => {}).pipe(socket);
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return server;
}

function portOf(server: Server): number {
  return (server.address() as AddressInfo).port;
}
