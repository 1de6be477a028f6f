import { expect, test } from "vitest";
import { parseOptions } from "../src/options.ts";

const files: { readonly [path: string]: string } = {
  "good.json": '[{"systemId": "acme01", "password": "pw", "maxBinds": 2, "systemType": "cp"}]',
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

test.for([
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
