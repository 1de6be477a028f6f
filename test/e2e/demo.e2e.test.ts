import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { connect } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, onTestFinished, test, vi } from "vitest";

/** Longer than the demo gives itself, in milliseconds: its own words about what took so long are the better ones. */
const LONGEST = 9 * 60_000;

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

const story =
  "the demo ends well: binds come up, links degrade and recover, passwords rotate, and a killed service is not missed";

test(story, { timeout: LONGEST }, async () => {
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
    // What is wrong with a link, what becomes of its messages, and that they come back.
    /✓ DEGRADED \(warning\): ERROR_RATE, /,
    /✓ DEGRADED \(critical\): ERROR_RATE, .*\n.*routes to 26201.*\n +1\. hub-one +1000 .*\n +2\. acme-de +0 /,
    /✓ acme-de is UP again, after good reports in a row, .*\n.*routes to 26201.*\n +1\. acme-de /,
    /✓ shown .* 95 % answered within \d+ ms/,
    /gives acme-de priority 900\n.*routes to 26201.*\n +1\. hub-one /,
    /the priority is taken back\n.*routes to 26201.*\n +1\. acme-de /,
    /✓ THROTTLED: THROTTLED_BY_VENDOR, /,
    /✓ \d+ of 80\/s for now: acme-de gets \d+ messages instead of \d+/,
    /✓ acme-de is UP again, at its full rate/,
    /✓ DEGRADED \(warning\): RECEIVER_DOWN, /,
    /✓ sola-za gets \d+ messages instead of \d+/,
    /✓ the receiver is bound again and sola-za UP/,
    /✓ DOWN: .*\n.*routes to 26201.*\n +1\. hub-one /,
    /✓ acme-de is UP, .*\n.*routes to 26201.*\n +1\. acme-de /,
    /✓ all three links are UNKNOWN: NO_REPORT.*\n.*routes to 26201.*\n +1\. acme-de .*\n +2\. hub-one /,
    /✓ the connector goes on, and all three links are UP/,
    /✓ \d+ transitions, each from where the one before ended/,
    // Rotations: REPLACE, SWITCH_AT, BOTH_VALID.
    /✓ the first one took the new password: promoted by itself/,
    /✓ the first bind after the switch proved it: promoted by itself/,
    /✓ one bind took it: promoted by itself/,
    /(✓ \d+ messages sent meanwhile, each answered ESME_ROK: none lost[^]*){3}/,
    /(✓ the vendor's count: never more than 2 binds, none refused, no failed login, no lock[^]*){3}/,
    /✓ sola-za: \d+ messages in both books, none lost/,
    /✓ hub-one: \d+ messages in both books, none lost/,
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
  await vi.waitUntil(() => output().includes("so it waits"), { timeout: 120_000 });
  child.kill("SIGINT");
  await vi.waitUntil(() => output().includes("Stopped by SIGINT.") || child.exitCode !== null);
  child.kill("SIGINT"); // it comes twice when npm passes it on
  expect(await ended).toBe(130);
  expect(output()).toContain("Stopped by SIGINT.");
  expect(await leftovers()).toEqual([]);
  expect(ports(output())).toHaveLength(5);
  for (const port of ports(output())) expect(await isListening(port)).toBe(false);
});
