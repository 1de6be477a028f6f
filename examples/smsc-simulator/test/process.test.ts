import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer, type AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect, onTestFinished, test } from "vitest";
import { acme, connectClient, message, until } from "./harness.ts";

const main = fileURLToPath(new URL("../src/main.ts", import.meta.url));

function simulator(...args: string[]) {
  const child = spawn(process.execPath, ["--conditions=source", main, ...args]);
  onTestFinished(() => void child.kill("SIGKILL"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const exited = once(child, "close").then(([code]: unknown[]) => code);
  return { child, exited, output: () => output };
}

async function accountsFile(content: string): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "smsc-simulator-"));
  onTestFinished(() => rm(folder, { recursive: true }));
  const path = join(folder, "accounts.json");
  await writeFile(path, content);
  return path;
}

test("accounts come from a file and from the command line; SIGTERM unbinds everybody and exits 0", async () => {
  const file = await accountsFile(JSON.stringify([acme]));
  const { child, exited, output } = simulator("--port=0", "--accounts-file", file, "--account=beta02:a:b:1");
  await until(() => /listening .*:\d+\n/.test(output()));
  const port = Number(/listening .*:(\d+)\n/.exec(output())?.[1]);
  const [one, two] = [await connectClient(port), await connectClient(port)];
  expect((await one.bind()).command_status).toBe(0);
  expect((await two.bind("receiver", { system_id: "beta02", password: "a:b" })).command_status).toBe(0);

  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  expect([...one.received, ...two.received].map(({ command }) => command)).toEqual(["unbind", "unbind"]);
  expect(output()).not.toContain(acme.password);
});

test("behaviour from the command line and a script from a file are at work", async () => {
  const file = await accountsFile(JSON.stringify({ steps: [{ at: 0, do: "say", text: "the script plays" }] }));
  const args = ["--account=acme01:s3cr3t-acme:1", "--set=acme01:throttle.perSecond=0", "--script", file];
  const { child, exited, output } = simulator("--port=0", ...args);
  await until(() => output().includes("all 1 steps are done"));
  expect(output()).toContain("the script plays");
  const client = await connectClient(Number(/listening .*:(\d+)\n/.exec(output())?.[1]));
  await client.bind();
  expect((await client.ask("submit_sm", message)).command_status).toBe(0x58);
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
});

test("--quiet prints nothing", async () => {
  const probe = createServer().listen(0, "127.0.0.1");
  await once(probe, "listening");
  const { port } = probe.address() as AddressInfo;
  await new Promise((resolve) => probe.close(resolve));
  const { child, exited, output } = simulator("--quiet", `--port=${port}`, "--account=acme01:s3cr3t-acme:1");
  await expect
    .poll(() => connectClient(port).then((client) => client.bind()), { timeout: 15_000 })
    .toMatchObject({ command_status: 0 });
  child.kill("SIGTERM");
  expect(await exited).toBe(0);
  expect(output()).toBe("");
});

test("a port in use is said in words", async () => {
  const other = createServer().listen(0, "127.0.0.1");
  onTestFinished(() => void other.close());
  await once(other, "listening");
  const { port } = other.address() as AddressInfo;
  const { exited, output } = simulator("--port=0", `--port=${port}`);
  expect(await exited).toBe(1);
  expect(output()).toContain(`port ${port} is in use`);
  expect(output()).not.toContain("    at ");
});

test("--help explains every option", async () => {
  const { exited, output } = simulator("--help");
  expect(await exited).toBe(0);
  for (const option of [
    "port",
    "host",
    "accounts-file",
    "account",
    "set",
    "script",
    "seed",
    "control-port",
    "session-init",
    "enquire-link",
  ]) {
    expect(output()).toContain(`--${option} `);
  }
});
