import { expect, test } from "vitest";
import { checkedScript } from "../src/script.ts";
import { ScriptPlayer } from "../src/script-player.ts";
import { acme, boundClient, Clock, message, runSmsc, sessionsOf, submitMany, tryBind, until } from "./harness.ts";

const play = (player: ScriptPlayer, ...steps: object[]) => player.play(checkedScript({ steps }));

test("a script changes the vendor step by step, from the start of the script and from step to step", async () => {
  const clock = new Clock();
  const { smsc, port, lines } = await runSmsc({ accounts: [{ ...acme, maxBinds: 9 }], now: clock.now });
  const player = new ScriptPlayer(smsc);
  const client = await boundClient(port);
  await play(
    player,
    { at: 0, do: "say", text: "the vendor has a bad day" },
    { at: 0.02, do: "behave", account: "acme01", set: { throttle: { perSecond: 1 }, errors: { ESME_RSYSERR: 1 } } },
    { after: 0, do: "behave", account: "acme01", set: { errors: null } },
    {
      after: 0.01,
      do: "password",
      account: "acme01",
      mode: "SWITCH_AT",
      password: "s3cr3t-n",
      switchAt: 30,
      lateBy: 30,
    },
    { after: 0, do: "account", account: "beta02", set: { password: "s3cr3t-beta", maxBinds: 1 } },
  );
  expect(player.state).toEqual({ done: 5, steps: 5, failures: [] });
  expect(lines.join("\n")).toContain("the vendor has a bad day");
  expect(lines.join("\n")).not.toContain("s3cr3t");
  expect(await submitMany(client, 2)).toEqual({ 0: 1, 0x58: 1 });
  clock.forward(59);
  expect([await tryBind(port), await tryBind(port, "s3cr3t-n")]).toEqual([0, 0x0e]);
  clock.forward(1);
  expect([await tryBind(port), await tryBind(port, "s3cr3t-n")]).toEqual([0x0e, 0]);
  expect(smsc.state().accounts.map(({ systemId }) => systemId)).toEqual(["acme01", "beta02"]);
});

test("every action does its part", async () => {
  const behaviour = { binds: { hold: 120 }, lock: { after: 1, for: 0 } };
  const { smsc, port } = await runSmsc({ accounts: [{ ...acme, maxBinds: 1, behaviour }] });
  const player = new ScriptPlayer(smsc);
  const client = await boundClient(port);
  await play(player, { at: 0, do: "disconnect", account: "acme01", how: "reset", hold: true });
  await client.closed;
  expect(await tryBind(port)).toBe(0x05);
  await play(player, { at: 0, do: "release", account: "acme01" });
  expect(await tryBind(port, "wrong")).toBe(0x0e);
  await play(player, { at: 0, do: "unlock", account: "acme01" });
  expect(await tryBind(port)).toBe(0);
  await play(player, { at: 0, do: "port", mode: "refusing" });
  await expect(tryBind(port)).rejects.toThrow("ECONNREFUSED");
  await play(player, { at: 0, do: "port", port, mode: "open" }, { after: 0, do: "normal", account: "acme01" });
  expect(smsc.state().accounts[0]?.behaviour).toEqual({});
});

test("a step that cannot be done is told, and the script goes on", async () => {
  const { smsc, port, lines } = await runSmsc();
  const player = new ScriptPlayer(smsc);
  await play(
    player,
    { at: 0, do: "unlock", account: "nobody" },
    { at: 0, do: "behave", account: "acme01", set: { mute: "submit_sm" } },
  );
  expect(player.state?.failures).toEqual(["step 1 (unlock): no account has this systemId; GET /state lists them"]);
  expect(lines.join("\n")).toContain("step 1 (unlock)");
  const client = await boundClient(port);
  client.ask("submit_sm", message).catch(() => undefined);
  await until(() => smsc.state().totals.requestsIgnored === 1);
});

test("a new script ends the one that plays, and so does stop", async () => {
  const { smsc, port } = await runSmsc();
  const player = new ScriptPlayer(smsc);
  await boundClient(port);
  const first = play(player, { at: 3600, do: "disconnect", account: "acme01" });
  const second = play(player, { at: 3600, do: "disconnect", account: "acme01" });
  await first;
  player.stop();
  await second;
  expect(sessionsOf(smsc)).toHaveLength(1);
  expect(player.state).toMatchObject({ done: 0, steps: 1 });
});

const behave = { at: 1, do: "behave", account: "acme01" };
const change = { at: 1, do: "password", account: "acme01", password: "s3cr3t" };

test.for([
  ["no object", [], 'a script must be a JSON object {"steps": […]}'],
  ["another field beside steps", { steps: [], step: 1 }, "and nothing more"],
  ["a step that is no object", { steps: [1] }, "step 1: it must be a JSON object"],
  ["neither at nor after", { steps: [{ do: "say", text: "x" }] }, "step 1: there must be either at"],
  ["at and after", { steps: [{ ...behave, after: 1, set: {} }] }, "step 1: there must be either at"],
  ["a negative time", { steps: [{ after: -1, do: "say", text: "x" }] }, "step 1: after must be seconds from 0"],
  [
    "at running backwards",
    {
      steps: [
        { ...behave, set: {} },
        { at: 0, do: "say" },
      ],
    },
    "step 2: text is missing",
  ],
  [
    "an earlier at",
    {
      steps: [
        { ...behave, set: {} },
        { at: 0, do: "say", text: "x" },
      ],
    },
    "step 2: at must not be earlier",
  ],
  ["no action", { steps: [{ at: 1 }] }, "step 1: do must be one of account, behave"],
  ["an unknown action", { steps: [{ at: 1, do: "explode" }] }, "step 1: do must be one of"],
  [
    "a field the action lacks",
    { steps: [{ ...behave, set: {}, port: 1 }] },
    "step 1: port is not known; there are account, set",
  ],
  ["a missing field", { steps: [behave] }, "step 1: set is missing"],
  [
    "an unknown group",
    { steps: [{ ...behave, set: { trottle: {} } }] },
    "step 1: set.trottle is not known; there are throttle",
  ],
  [
    "a wrong value",
    { steps: [{ ...behave, set: { throttle: { perSecond: "5" } } }] },
    "step 1: set.throttle.perSecond must be a whole number",
  ],
  [
    "a wrong status",
    { steps: [{ ...behave, set: { errors: { ESME_OOPS: 0.1 } } }] },
    "set.errors.ESME_OOPS is not a command_status",
  ],
  [
    "too large shares",
    { steps: [{ ...behave, set: { errors: { ESME_RSYSERR: 0.7, ESME_RSUBMITFAIL: 0.7 } } }] },
    "set.errors add up",
  ],
  [
    "a share above 1",
    { steps: [{ ...behave, set: { unanswered: { share: 10 } } }] },
    "set.unanswered.share must be a share from 0 to 1",
  ],
  [
    "an unknown state",
    { steps: [{ ...behave, set: { receipts: { states: { LOST: 1 } } } }] },
    "set.receipts.states.LOST is not none or",
  ],
  [
    "an unknown zone",
    { steps: [{ ...behave, set: { receipts: { timeZone: "Mars/Base" } } }] },
    "set.receipts.timeZone must be a time zone",
  ],
  ["SWITCH_AT without a time", { steps: [{ ...change, mode: "SWITCH_AT" }] }, "step 1: switchAt is missing"],
  [
    "a local time",
    { steps: [{ ...change, mode: "SWITCH_AT", switchAt: "tonight" }] },
    "step 1: switchAt must be seconds from now, or",
  ],
  [
    "REPLACE with a time",
    { steps: [{ ...change, mode: "REPLACE", switchAt: 1 }] },
    "step 1: switchAt and lateBy are for",
  ],
  [
    "a wrong account",
    { steps: [{ at: 1, do: "account", account: "a", set: { maxBinds: -1 } }] },
    "step 1: set: maxBinds must be",
  ],
] as const)("a script with %s is refused in words that name step and field", ([, script, words]) => {
  expect(() => checkedScript(script)).toThrow(words);
  expect(() => checkedScript(script)).not.toThrow("s3cr3t");
});
