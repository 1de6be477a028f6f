import { expect, test } from "vitest";
import type { Behaviour } from "../src/behaviour.ts";
import { behaving, Clock, runSmsc, totalsOf, tryBind } from "./harness.ts";

async function run(lock: NonNullable<Behaviour["lock"]>) {
  const clock = new Clock();
  const running = await runSmsc({ ...behaving({ lock }, { maxBinds: 100 }), now: clock.now });
  const fail = () => tryBind(running.port, "wrong");
  return { ...running, clock, fail };
}

test("after three failed logins in 15 minutes the right password is refused too, for 30 minutes", async () => {
  const { smsc, port, clock, fail, lines } = await run({});
  for (let i = 0; i < 3; i++) expect(await fail()).toBe(0x0e);
  expect(lines.join("\n")).toContain("the account is locked now");
  expect(smsc.state().accounts[0]?.lockedUntil).toBe("2030-01-31T12:30:00.000Z");
  clock.forward(1799);
  expect(await tryBind(port)).toBe(0x0e);
  expect(totalsOf(smsc)).toMatchObject({ failedLogins: 3, failedLoginsPeak: 3, locks: 1, refusedWhileLocked: 1 });
  clock.forward(1);
  expect(await tryBind(port)).toBe(0);
  expect(smsc.state().accounts[0]).not.toHaveProperty("lockedUntil");
});

test("failed logins that are far enough apart never lock it", async () => {
  const { smsc, port, clock, fail } = await run({ after: 3, within: 60 });
  for (let i = 0; i < 10; i++) {
    await fail();
    clock.forward(30);
  }
  expect(await tryBind(port)).toBe(0);
  expect(totalsOf(smsc)).toMatchObject({ failedLogins: 10, failedLoginsPeak: 2, locks: 0 });
});

test.for([
  ["ESME_RINVSYSID", 0x0f],
  ["ESME_RBINDFAIL", 0x0d],
  ["drop", "closed"],
] as const)("a locked account may answer with %s", async ([answer, expected]) => {
  const { port, fail } = await run({ after: 1, answer });
  expect(await fail()).toBe(0x0e);
  expect(await tryBind(port)).toBe(expected);
});

test("a lock without an end is opened by hand", async () => {
  const { smsc, port, clock, fail } = await run({ after: 1, for: 0 });
  await fail();
  clock.forward(10_000_000);
  expect(await tryBind(port)).toBe(0x0e);
  expect(smsc.state().accounts[0]?.lockedUntil).toBe("unlocked");
  smsc.unlock("acme01");
  expect(await tryBind(port)).toBe(0);
});

test("the vendor's own outage is answered before passwords are looked at", async () => {
  const { smsc, port } = await runSmsc(behaving({ lock: { after: 1 }, binds: { refuseWith: "ESME_RSYSERR" } }));
  expect(await tryBind(port, "wrong")).toBe(0x08);
  expect(totalsOf(smsc)).toMatchObject({ failedLogins: 0, bindsRefused: { ESME_RSYSERR: 1 } });
  smsc.behave("acme01", { binds: null });
  expect(await tryBind(port)).toBe(0);
});
