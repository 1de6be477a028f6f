import { expect, test } from "vitest";
import { behaving, boundClient, Clock, message, runSmsc, submitMany, totalsOf } from "./harness.ts";

test("segments above N in a second are refused with ESME_RTHROTTLED, over all sessions, and the next second takes N again", async () => {
  const clock = new Clock();
  const { smsc, port } = await runSmsc({ ...behaving({ throttle: { perSecond: 5 } }), now: clock.now });
  const [one, two] = [await boundClient(port), await boundClient(port)];
  expect(await submitMany(one, 4)).toEqual({ 0: 4 });
  expect(await submitMany(two, 4)).toEqual({ 0: 1, 0x58: 3 });
  clock.forward(0.999);
  expect(await submitMany(one, 1)).toEqual({ 0x58: 1 });
  clock.forward(0.001);
  expect(await submitMany(one, 6)).toEqual({ 0: 5, 0x58: 1 });
  expect(totalsOf(smsc)).toMatchObject({ submits: { ESME_ROK: 10, ESME_RTHROTTLED: 5 }, messagesTaken: 10 });
  expect(smsc.state().totals).toMatchObject({ messagesReceived: 10, messagesRefused: 5 });
});

test("a vendor may say ESME_RMSGQFUL instead, and be told at run time to stop throttling", async () => {
  const clock = new Clock();
  const throttle = { perSecond: 0, status: "ESME_RMSGQFUL" } as const;
  const { smsc, port } = await runSmsc({ ...behaving({ throttle }), now: clock.now });
  const client = await boundClient(port);
  expect((await client.ask("submit_sm", message)).command_status).toBe(0x14);
  smsc.behave("acme01", { throttle: null });
  expect(await submitMany(client, 20)).toEqual({ 0: 20 });
});

test("one account's throttle leaves the others alone", async () => {
  const other = { systemId: "beta02", password: "s3cr3t-beta", maxBinds: 1 };
  const { accounts } = behaving({ throttle: { perSecond: 0 } });
  const { smsc, port } = await runSmsc({ accounts: [{ ...accounts[0]!, ...other }, ...behaving({}).accounts] });
  expect(await submitMany(await boundClient(port), 3)).toEqual({ 0: 3 });
  expect(totalsOf(smsc, "beta02").messagesTaken).toBe(0);
});
