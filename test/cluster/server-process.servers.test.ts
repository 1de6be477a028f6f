import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { expect, onTestFinished, test } from "vitest";
import { isGone } from "./process-tree.ts";
import { recentLogs } from "./recent-logs.ts";
import { startServer } from "./server-process.ts";
import { temporaryFolder } from "./temporary-folder.ts";
import { until } from "./until.ts";

test.for(["SIGKILL", "SIGINT"] as const)(
  "servers and their folders don't outlive a runner that %s ends",
  async (signal) => {
    const runner = spawn(
      process.execPath,
      ["--conditions=source", join(import.meta.dirname, "support-doomed-runner.ts")],
      { stdio: ["ignore", "pipe", "inherit"] },
    );
    onTestFinished(() => void runner.kill("SIGKILL"));
    const [line] = (await once(createInterface({ input: runner.stdout }), "line")) as [string];
    const { pids, folder } = JSON.parse(line) as { pids: number[]; folder: string };
    expect(pids.length).toBeGreaterThan(1);
    expect(pids.map(isGone)).toContain(false);
    expect(existsSync(folder)).toBe(true);

    runner.kill(signal);
    await until("all of them are gone", () => pids.every(isGone));
    await until("the folder is gone", () => !existsSync(folder));
  },
);

test("a server that ends at once fails its start with its log, which a failed test shows too", async () => {
  await using command = await shellCommand("echo no such disk >&2; exit 3");
  await expect(startServer({ ...command, answers: () => false })).rejects.toThrow("no such disk");
  expect(recentLogs()).toContain("no such disk");
});

test("one that doesn't end when asked is killed with all below it", async () => {
  await using command = await shellCommand("trap '' TERM; sleep 60 & echo up; while :; do wait; done");
  const server = await startServer({ ...command, stopPatience: 50, answers: () => true });
  await until("it is up", () => server.log().includes("up"));
  await server.stop();
  expect(server.running).toBe(false);
  expect(isGone(server.pid)).toBe(true);
});

async function shellCommand(script: string) {
  const folder = await temporaryFolder("shell");
  return {
    ...{ name: "shell", command: "/bin/sh", args: ["-c", script], logFile: join(folder.path, "log") },
    [Symbol.asyncDispose]: folder.remove,
  };
}
