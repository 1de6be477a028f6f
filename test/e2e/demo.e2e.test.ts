import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";

const root = join(import.meta.dirname, "../..");

/** `npm run demo` as a process; its temporary files go to a folder of the test's own, so that what is left behind shows. */
async function demo() {
  const folder = await mkdtemp(join(tmpdir(), "demo-test-"));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  const child = spawn(process.execPath, ["--conditions=source", "examples/demo/main.ts"], {
    cwd: root,
    env: { ...process.env, TMPDIR: folder },
    stdio: ["ignore", "pipe", "pipe"],
  });
  onTestFinished(() => void child.kill("SIGTERM"));
  let output = "";
  for (const stream of [child.stdout, child.stderr]) stream.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, "close").then(([code, signal]: unknown[]) => code ?? signal);
  return { child, ended, output: () => output, leftovers: () => readdir(folder) };
}

/** The simulator's ports, from the line that tells them. */
function ports(output: string): number[] {
  const list = /SMPP on ports ([\d, ]+)/.exec(output)?.[1] ?? "";
  return list.split(", ").map(Number);
}

async function isListening(port: number): Promise<boolean> {
  const socket = connect({ host: "127.0.0.1", port });
  const answer = await Promise.race([
    once(socket, "connect").then(() => true),
    once(socket, "error").then(() => false),
  ]).catch(() => false);
  socket.destroy();
  return answer;
}

test("the demo ends well: binds come up, a rate changes without a bind, a port with one, and a killed service is not missed", async () => {
  const { ended, output, leftovers } = await demo();
  const code = await ended;
  expect(output()).not.toContain("The demo failed");
  expect(code).toBe(0);
  for (const fact of [
    /✓ acme-de: 2 of 2 binds up, \d+ ms after/,
    /✓ sola-za: 2 of 2 binds up, \d+ ms after/,
    /✓ hub-one: 2 of 2 binds up, \d+ ms after/,
    /✓ the live sessions take 80\/s, \d+ ms after/,
    /✓ the same sessions at the vendor: \d+, \d+/,
    /✓ both binds are on port \d+, \d+ ms after/,
    /✓ at least [12] bind up all the while/,
    /password refused \(ESME_RINVPASWD 0x0E\), no tries left/,
    /✓ the vendor saw 3 failed logins/,
    /killed \(SIGKILL\)/,
    /✓ without the service: 6 binds up/,
    /✓ the connector resumed where it was/,
    /✓ a change made after the restart arrives/,
    /✓ the same 6 sessions at the vendors/,
    /✓ history: \d+ revisions of 3 operators/,
    /✓ connector: SIGTERM, every bind unbound/,
    /none is in any log/,
    /Summary/,
  ]) {
    expect(output()).toMatch(fact);
  }
  expect(await leftovers()).toEqual([]);
  for (const port of ports(output())) expect(await isListening(port)).toBe(false);
});

test("Ctrl-C ends the demo at once and leaves neither a process nor a folder behind", async () => {
  const { child, ended, output, leftovers } = await demo();
  await vi.waitUntil(() => output().includes("so it waits"), { timeout: 60_000 });
  child.kill("SIGINT");
  await vi.waitUntil(() => output().includes("Stopped by SIGINT.") || child.exitCode !== null);
  child.kill("SIGINT"); // it comes twice when npm passes it on
  expect(await ended).toBe(130);
  expect(output()).toContain("Stopped by SIGINT.");
  expect(await leftovers()).toEqual([]);
  expect(ports(output())).toHaveLength(5);
  for (const port of ports(output())) expect(await isListening(port)).toBe(false);
});
