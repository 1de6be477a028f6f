import { expect, test } from "vitest";
import { boundClient, connectClient, connectRaw, runSmsc, sessionsOf } from "./harness.ts";

test("a port refuses connections and opens again; what is bound stays, and the other port too", async () => {
  const { smsc } = await runSmsc({ ports: [0, 0] });
  const [one = 0, other = 0] = smsc.ports;
  const client = await boundClient(one);
  await smsc.setPort("refusing", one);
  await expect(connectClient(one)).rejects.toThrow("ECONNREFUSED");
  expect(smsc.state().portModes).toEqual({ [one]: "refusing", [other]: "open" });
  await boundClient(other);
  expect((await client.ask("enquire_link")).command_status).toBe(0);
  await smsc.setPort("open");
  await client.ask("unbind");
  await boundClient(one);
  expect(sessionsOf(smsc).map(({ port }) => port)).toEqual([other, one]);
});

test("a port resets every connection", async () => {
  const { smsc, port } = await runSmsc();
  await smsc.setPort("resetting");
  const client = await connectClient(port).catch(() => undefined);
  // Whether the client sees its connect succeed before the reset is up to the kernel.
  await expect(client?.bind() ?? Promise.reject(new Error("closed"))).rejects.toThrow("closed");
  expect(smsc.state().totals.closes).toBe(0);
});

test("a silent port accepts and says nothing, and does not keep the simulator from stopping", async () => {
  const { smsc, port } = await runSmsc({ timers: { sessionInit: 30 } });
  await smsc.setPort("silent");
  const silent = await connectClient(port);
  silent.bind().catch(() => undefined);
  await smsc.setPort("open");
  // This one is closed at the sessionInit timer, which the silent one, though older, never had.
  await (
    await connectRaw(port)
  ).closed;
  expect(silent.heard).toEqual([]);
  expect(smsc.state().totals.bindsAccepted).toBe(0);
  await smsc.close();
  await silent.closed;
});

test("a port that is not the simulator's is refused", async () => {
  const { smsc } = await runSmsc();
  await expect(smsc.setPort("open", 1)).rejects.toThrow("does not have this port");
});
