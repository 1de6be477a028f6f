import { expect, test } from "vitest";
import { accepts, changePassword, type PasswordPeriod } from "../src/passwords.ts";
import { acme, boundClient, Clock, runSmsc, sessionsOf, totalsOf, tryBind } from "./harness.ts";

const NEW = "s3cr3t-new";
const WRONG = 0x0e;

async function run() {
  const clock = new Clock();
  const running = await runSmsc({ accounts: [{ ...acme, maxBinds: 100 }], now: clock.now });
  const live = await boundClient(running.port);
  /** What binds with the old and with the new password are answered. */
  const answers = async () => [await tryBind(running.port), await tryBind(running.port, NEW)];
  return { ...running, clock, live, answers };
}

test("REPLACE: the old password is refused at once, live sessions stay", async () => {
  const { smsc, live, answers } = await run();
  smsc.changePassword("acme01", NEW, { mode: "REPLACE" });
  expect(await answers()).toEqual([WRONG, 0]);
  expect((await live.ask("enquire_link")).command_status).toBe(0);
  expect(sessionsOf(smsc).length).toBeGreaterThan(1);
  expect(totalsOf(smsc)).toMatchObject({ failedLogins: 1, failedLoginsPeak: 1, locks: 0 });
});

test("SWITCH_AT: the old password until T, the new one from T on, never both", async () => {
  const { smsc, clock, answers } = await run();
  smsc.changePassword("acme01", NEW, { mode: "SWITCH_AT", time: clock.time + 60_000 });
  expect(smsc.state().accounts[0]?.passwordsChange).toEqual(["2030-01-31T12:01:00.000Z"]);
  expect(await answers()).toEqual([0, WRONG]);
  clock.forward(59.999);
  expect(await answers()).toEqual([0, WRONG]);
  clock.forward(0.001);
  expect(await answers()).toEqual([WRONG, 0]);
});

test("BOTH_VALID: both passwords from now on, and the old one ends", async () => {
  const { smsc, clock, answers } = await run();
  smsc.changePassword("acme01", NEW, { mode: "BOTH_VALID", oldUntil: clock.time + 60_000 });
  expect(await answers()).toEqual([0, 0]);
  clock.forward(60);
  expect(await answers()).toEqual([WRONG, 0]);
});

test("BOTH_VALID without an end lasts until the next change", async () => {
  const { smsc, clock, answers } = await run();
  smsc.changePassword("acme01", NEW, { mode: "BOTH_VALID", oldUntil: Infinity });
  clock.forward(1_000_000);
  expect(await answers()).toEqual([0, 0]);
  smsc.changePassword("acme01", NEW, { mode: "REPLACE" });
  expect(await answers()).toEqual([WRONG, 0]);
});

test("a change that is not due yet is given up for the next one", () => {
  const always: PasswordPeriod[] = [{ password: "a", from: 0, until: Infinity }];
  const planned = changePassword(always, "b", { mode: "SWITCH_AT", time: 20 }, 10);
  const instead = changePassword(planned, "c", { mode: "BOTH_VALID", oldUntil: 40 }, 15);
  const at = (now: number) => ["a", "b", "c"].filter((password) => accepts(instead, password, now)).join("");
  expect([15, 20, 39, 40].map(at)).toEqual(["ac", "ac", "ac", "c"]);
});

test("no password reaches the log or the state", async () => {
  const { smsc, lines, answers } = await run();
  smsc.changePassword("acme01", NEW, { mode: "BOTH_VALID", oldUntil: Infinity });
  smsc.setAccount("acme01", { password: "s3cr3t-third", behaviour: { lock: {} } });
  await answers();
  expect(lines.join("\n") + JSON.stringify(smsc.state())).not.toContain("s3cr3t");
});
