import { expect, test } from "vitest";
import {
  acme,
  behaving,
  boundClient,
  Clock,
  connectClient,
  runSmsc,
  sessionsOf,
  totalsOf,
  tryBind,
  until,
} from "./harness.ts";

const REFUSED = 0x05;

async function oneDied(behaviour: Parameters<typeof behaving>[0]) {
  const clock = new Clock();
  const running = await runSmsc({ ...behaving(behaviour, { maxBinds: 1 }), now: clock.now });
  const client = await boundClient(running.port);
  client.hangUp();
  await until(() => sessionsOf(running.smsc).length === 0);
  const held = () => running.smsc.state().accounts[0]?.held;
  return { ...running, clock, held };
}

test("a session that dies without unbind keeps its bind for 120 s, and no other may have it", async () => {
  const { smsc, port, clock, held, lines } = await oneDied({ binds: { hold: 120 } });
  expect(held()).toEqual([{ sessionId: 1, role: "transceiver", until: "2030-01-31T12:02:00.000Z" }]);
  expect(lines.at(-1)).toContain("held until 12:02:00");
  clock.forward(119.999);
  expect(await tryBind(port)).toBe(REFUSED);
  clock.forward(0.001);
  expect(await tryBind(port)).toBe(0);
  expect(held()).toEqual([]);
  expect(totalsOf(smsc)).toMatchObject({ bindsRefused: { ESME_RALYBND: 1 }, failedLogins: 0, bindsPeak: 1 });
});

test("the vendor's staff frees it before its time", async () => {
  const { smsc, port } = await oneDied({ binds: { hold: 120 } });
  expect(await tryBind(port)).toBe(REFUSED);
  expect(smsc.releaseHeld("acme01")).toBe(1);
  expect(await tryBind(port)).toBe(0);
});

test("a vendor may drop one bind too many without an answer", async () => {
  const { smsc, port } = await oneDied({ binds: { hold: 120, whenFull: "drop" } });
  expect(await tryBind(port)).toBe("closed");
  expect(totalsOf(smsc).bindsRefused).toEqual({ dropped: 1 });
});

test("after an unbind the bind is free at once, hold time or not", async () => {
  const { smsc, port } = await runSmsc(behaving({ binds: { hold: 120 } }, { maxBinds: 1 }));
  await (await boundClient(port)).ask("unbind");
  await until(() => sessionsOf(smsc).length === 0);
  expect(await tryBind(port)).toBe(0);
});

test.for([
  [{ dead: true }, REFUSED],
  [{ dead: false }, 0],
] as const)("sessions that the vendor cuts, %o, answer the next bind with %i", async ([how, status]) => {
  const { smsc, port } = await runSmsc(behaving({ binds: { hold: 120 } }, { maxBinds: 1 }));
  const client = await boundClient(port);
  smsc.disconnect("acme01", how);
  await client.closed;
  expect(await tryBind(port)).toBe(status);
});

test("limits per role hold beside the account's, and held binds count for their role", async () => {
  const { smsc, port } = await runSmsc({
    accounts: [{ ...acme, maxBinds: 3, behaviour: { binds: { hold: 120, perRole: { receiver: 1 } } } }],
  });
  const receiver = await boundClient(port, "receiver");
  expect((await (await connectClient(port)).bind("receiver")).command_status).toBe(REFUSED);
  await boundClient(port, "transmitter");
  receiver.hangUp();
  await until(() => sessionsOf(smsc).length === 1);
  expect((await (await connectClient(port)).bind("receiver")).command_status).toBe(REFUSED);
  await boundClient(port, "transmitter");
  expect((await (await connectClient(port)).bind("transmitter")).command_status).toBe(REFUSED);
  expect(totalsOf(smsc).bindsPeak).toBe(2);
});
