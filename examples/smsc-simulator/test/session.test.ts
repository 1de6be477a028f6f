import { expect, test } from "vitest";
import { Status } from "../src/smpp.ts";
import { connectClient, connectRaw, runSmsc, sessionsOf, until } from "./harness.ts";

test("enquire_link from the client is answered", async () => {
  const { smsc, port } = await runSmsc();
  const client = await connectClient(port);
  await client.bind();
  expect(await client.ask("enquire_link")).toMatchObject({ command: "enquire_link_resp", command_status: 0 });
  expect(smsc.state().totals.enquireLinksAnswered).toBe(1);
});

test("an idle client is sent enquire_link, again and again, and stays bound when it answers", async () => {
  const { smsc, port } = await runSmsc({ timers: { enquireLink: 20, response: 5000 } });
  const client = await connectClient(port);
  await client.bind();
  await until(() => client.received.filter(({ command }) => command === "enquire_link").length >= 3);
  expect(sessionsOf(smsc)).toHaveLength(1);
});

test("a client that does not answer enquire_link is closed", async () => {
  const { smsc, port, lines } = await runSmsc({ timers: { enquireLink: 20, response: 50 } });
  const client = await connectClient(port, { mute: true });
  await client.bind();
  await client.closed;
  expect(client.received.map(({ command }) => command)).toEqual(["enquire_link"]);
  expect(sessionsOf(smsc)).toEqual([]);
  expect(lines.at(-1)).toContain("enquire_link was not answered");
});

test("a session that sends nothing is closed at the inactivity timer", async () => {
  const { port, lines } = await runSmsc({ timers: { enquireLink: 0, inactivity: 50 } });
  const client = await connectClient(port);
  await client.bind();
  await client.closed;
  expect(client.received).toEqual([]);
  expect(lines.at(-1)).toContain("nothing was received for too long");
});

test("unbind is answered, then the simulator closes", async () => {
  const { smsc, port } = await runSmsc();
  const client = await connectClient(port);
  await client.bind();
  expect(await client.ask("unbind")).toMatchObject({ command: "unbind_resp", command_status: Status.ESME_ROK });
  await client.closed;
  expect(sessionsOf(smsc)).toEqual([]);
});

test("a connection that never binds is closed, even if it talks", async () => {
  const { smsc, port, lines } = await runSmsc({ timers: { sessionInit: 100 } });
  const [silent, talking] = [await connectRaw(port), await connectClient(port)];
  expect((await talking.ask("enquire_link")).command_status).toBe(Status.ESME_ROK);
  await Promise.all([silent.closed, talking.closed]);
  expect(lines.filter((line) => line.includes("no bind arrived in time"))).toHaveLength(2);
  expect(smsc.state().totals.closes).toBe(2);
});

test.for(["transmitter", "transceiver"] as const)("a %s may submit and gets different message ids", async (role) => {
  const { smsc, port } = await runSmsc();
  const client = await connectClient(port);
  await client.bind(role);
  const message = { source_addr: "acme", destination_addr: "385911234567", short_message: "hello" };
  const responses = [await client.ask("submit_sm", message), await client.ask("submit_sm", message)];
  expect(responses.map(({ command_status }) => command_status)).toEqual([Status.ESME_ROK, Status.ESME_ROK]);
  expect(new Set(responses.map(({ message_id }) => message_id)).size).toBe(2);
  expect(smsc.state().totals.messagesReceived).toBe(2);
});

test("a submit on a receiver, or before the bind, is refused and the connection stays", async () => {
  const { smsc, port } = await runSmsc();
  const client = await connectClient(port);
  expect((await client.ask("submit_sm", { short_message: "too early" })).command_status).toBe(Status.ESME_RINVBNDSTS);
  await client.bind("receiver");
  expect((await client.ask("submit_sm", { short_message: "hello" })).command_status).toBe(Status.ESME_RINVBNDSTS);
  expect((await client.ask("enquire_link")).command_status).toBe(Status.ESME_ROK);
  expect(smsc.state().totals).toMatchObject({ messagesReceived: 0, messagesRefused: 2 });
});

test("stopping unbinds every session and takes the ports away", async () => {
  const { smsc, port, lines } = await runSmsc();
  const [bound, unbound] = [await connectClient(port), await connectRaw(port)];
  await bound.bind();
  await smsc.close();
  await Promise.all([bound.closed, unbound.closed]);
  expect(bound.received.map(({ command }) => command)).toEqual(["unbind"]);
  expect(lines.join("\n")).toContain("acme01: asked to unbind");
  await expect(connectClient(port)).rejects.toThrow("ECONNREFUSED");
});

test("stopping does not wait for ever on a client that ignores unbind", async () => {
  const { smsc, port } = await runSmsc({ timers: { response: 50 } });
  const client = await connectClient(port, { mute: true });
  await client.bind();
  await smsc.close();
  await client.closed;
});
