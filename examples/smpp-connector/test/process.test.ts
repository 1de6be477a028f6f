import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { parseOptions, UsageError } from "../src/options.ts";
import { acme, connection, runSmsc, sessionsOf, until } from "./harness.ts";
import { runMesh } from "./mesh.ts";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

function connector(env: Record<string, string>, ...args: string[]) {
  const child = spawn(process.execPath, ["--conditions=source", main, ...args], { env: { ...process.env, ...env } });
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]: unknown[]) => code);
  return { child, exited, output: () => output };
}

test("started before the service it waits, binds when the service is there, and SIGTERM unbinds and exits 0", async () => {
  const smsc = await runSmsc();
  const mesh = await runMesh();
  const primary = { host: "127.0.0.1", port: smsc.ports[0] ?? 0 };
  mesh.publish({ main: connection({ endpoints: { primary } }) });
  await mesh.goAway();

  const { child, exited, output } = connector({ OPS_URL: mesh.url, OPS_NODE: "a-node" });
  await until(() => output().includes("not there yet: waiting for it"));
  await mesh.comeBack();
  await until(() => sessionsOf(smsc).length === 1);

  child.kill("SIGTERM");
  await until(() => output().includes("stopping"));
  child.kill("SIGTERM"); // as npm passes it on
  expect(await exited).toBe(0);
  expect(smsc.state().totals.unbinds).toBe(1);
  expect(mesh.reports.at(-1)).toMatchObject({ node: "a-node", leaving: true });
  expect(output()).toMatch(/\d\d:\d\d:\d\d\.\d{3} {2}acme-de\/main#1 TRX +bound to 127\.0\.0\.1:\d+ as acme01\n/);
  expect(output()).not.toContain(acme.password);
});

test("SIGTERM ends it also while it waits for the service", async () => {
  const { child, exited, output } = connector({ OPS_URL: "http://127.0.0.1:9", OPS_NODE: "a-node" });
  await until(() => output().includes("waiting for it"));
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("--help names every option and variable", async () => {
  const { exited, output } = connector({}, "--help");
  expect(await exited).toBe(0);
  for (const word of ["--label", "--traffic", "--report-interval", "--help", "OPS_URL", "OPS_NODE"])
    expect(output()).toContain(word);
});

test("a mistake on the command line is said in words, without a stack", async () => {
  const { exited, output } = connector({ OPS_NODE: "Not A Name" });
  expect(await exited).toBe(1);
  expect(output()).toContain("connector: OPS_NODE must begin with a lower-case letter");
  expect(output()).not.toContain("    at ");
});

test("options come from the command line and the environment", () => {
  expect(
    parseOptions(["--label", "egress=ams=1", "--traffic"], { OPS_URL: "http://ops:3020", OPS_NODE: "n1" }),
  ).toEqual({
    help: false,
    url: "http://ops:3020",
    node: "n1",
    labels: { egress: "ams=1" },
    traffic: true,
    reportIntervalMs: 10_000,
  });
  expect(parseOptions(["--report-interval", "2.5"], {})).toMatchObject({ reportIntervalMs: 2_500 });
  for (const [args, env] of [
    [["--label", "egress"], {}],
    [["--unknown"], {}],
    [["--report-interval", "0"], {}],
    [["--report-interval", "often"], {}],
    [[], { OPS_URL: "ops:3020" }],
  ] as const) {
    expect(() => parseOptions(args, env)).toThrow(UsageError);
  }
});
