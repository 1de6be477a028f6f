import { expect, test } from "vitest";
import { parseOptions } from "../src/options.ts";

const files: { readonly [path: string]: string } = {
  "good.json": '[{"systemId": "acme01", "password": "pw", "maxBinds": 2, "systemType": "cp"}]',
  "script.json": '{"steps": [{"at": 1, "do": "unlock", "account": "acme01"}]}',
  "bad-script.json": '{"steps": [{"at": 1, "do": "unlock", "account": "acme01", "password": "s3cr3t"}]}',
  "behaving.json": '[{"systemId": "acme01", "password": "s3cr3t", "maxBinds": 2, "behaviour": {"mute": "all"}}]',
  "object.json": '{"systemId": "acme01"}',
  "broken.json": '[{"systemId": "acme01", "password": s3cr3t}]',
  "field.json": '[{"systemId": "acme01", "password": "s3cr3t", "maxBinds": -1}]',
};

function parse(...args: string[]) {
  return parseOptions(args, (path) => {
    const text = files[path];
    if (text === undefined) throw Object.assign(new Error("no such file"), { code: "ENOENT" });
    return text;
  });
}

test("without arguments it listens on 2775 on loopback with no account", () => {
  expect(parse()).toMatchObject({ ports: [2775], host: "127.0.0.1", accounts: [], quiet: false });
});

test("ports, accounts and timers are read", () => {
  const options = parse(
    "--port=0",
    "--port=2776",
    "--account=a:x:y:3",
    "--accounts-file=good.json",
    "--enquire-link=0.5",
  );
  expect(options).toMatchObject({
    ports: [0, 2776],
    accounts: [
      { systemId: "acme01", password: "pw", maxBinds: 2, systemType: "cp" },
      { systemId: "a", password: "x:y", maxBinds: 3 },
    ],
    timers: { sessionInit: 10_000, enquireLink: 500 },
  });
});

test("behaviour, script and seed are read", () => {
  const { accounts, script, seed } = parse(
    "--account=a:b:1",
    "--set=a:throttle.perSecond=20",
    "--set=a:throttle.status=ESME_RMSGQFUL",
    '--set=a:receipts={"delay": 1, "states": {"UNDELIV": 0.5}}',
    "--set=a:receipts.timeZone=Europe/Berlin",
    "--set=a:binds.hold=true",
    "--script=script.json",
    "--seed=7",
  );
  expect(accounts[0]?.behaviour).toEqual({
    throttle: { perSecond: 20, status: "ESME_RMSGQFUL" },
    receipts: { delay: 1, states: { UNDELIV: 0.5 }, timeZone: "Europe/Berlin" },
    binds: { hold: 120 },
  });
  expect(script).toEqual({ steps: [{ due: { at: 1 }, action: { do: "unlock", account: "acme01" } }] });
  expect(seed).toBe(7);
});

test.for([
  [["--set=a:mute=everything"], "--set: no account"],
  [["--account=a:s3cr3t:1", "--set=mute"], "systemId:path=value"],
  [["--account=a:s3cr3t:1", "--set=a:mute=s3cr3t"], "--set: mute must be one of none, enquire_link"],
  [
    ["--account=a:s3cr3t:1", "--set=a:throttle.perSec=1"],
    "--set: throttle.perSec is not known; there are perSecond, status",
  ],
  [["--seed=x"], "--seed must be"],
  [["--script=missing.json"], "the script file missing.json cannot be read: ENOENT"],
  [["--script=bad-script.json"], "bad-script.json: step 1: password is not known; there are account"],
  [["--accounts-file=behaving.json"], "account 1: behaviour.mute must be one of"],
  [["--prot=1"], "--help"],
  [["acme01:s3cr3t:1"], "--help"],
  [["--port=65536"], "--port must be"],
  [["--port="], "--port must be"],
  [["--enquire-link=-1"], "--enquire-link must be"],
  [["--session-init=0"], "--session-init must be"],
  [["--account=acme01"], "systemId:password:maxBinds"],
  [["--account=acme01:s3cr3t"], "systemId:password:maxBinds"],
  [["--account=acme01:s3cr3t:"], "maxBinds must be"],
  [["--account=:s3cr3t:1"], "systemId must be"],
  [["--account=a:s3cr3t:1", "--account=a:s3cr3t:2"], "given twice"],
  [["--accounts-file=missing.json"], "missing.json cannot be read: ENOENT"],
  [["--accounts-file=object.json"], "must hold a JSON array"],
  [["--accounts-file=broken.json"], "it is not JSON"],
  [["--accounts-file=field.json"], "field.json, account 1: maxBinds must be"],
] as const)("%o is refused in words, without the password", ([args, words]) => {
  const message = thrownBy(() => parse(...args));
  expect(message).toContain(words);
  expect(message).not.toContain("s3cr3t");
});

function thrownBy(act: () => unknown): string {
  try {
    act();
  } catch (error) {
    return String(error);
  }
  return "nothing was thrown";
}
