import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { closeSync, openSync, readFileSync } from "node:fs";
import { basename } from "node:path";
import { isGone, signalTree } from "./process-tree.ts";
import { reapedProcess } from "./reaped.ts";
import { showLogOnFailure } from "./recent-logs.ts";
import type { SystemUser } from "./system-user.ts";
import { until } from "./until.ts";

/** One real server as a child process, which can be hurt and started again on the same folder and port. */
export interface ServerProcess {
  readonly name: string;
  /** Of the last start. */
  readonly pid: number;
  readonly running: boolean;
  /** kill -9 of it and all below it; resolves when they are gone. */
  kill(): Promise<void>;
  /** Freezes it and all below it: it is there, but doesn't answer. */
  pause(): void;
  resume(): void;
  /** Ends it in good order; kills it when it takes too long. */
  stop(): Promise<void>;
  /** Resolves when it answers. */
  start(): Promise<void>;
  /** All it has written so far, over all its starts. */
  log(): string;
}

export interface ServerCommand {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  readonly user?: SystemUser | undefined;
  /** Its output goes here, appended. */
  readonly logFile: string;
  /** How it is asked to end in good order. */
  readonly stopSignal?: NodeJS.Signals;
  /** Milliseconds that it has for that; 10,000 by default. */
  readonly stopPatience?: number;
  /** Whether it answers, as opposed to merely running. */
  readonly answers: () => boolean | Promise<boolean>;
}

/** @throws Error with its log when it ends or stays silent instead of answering */
export async function startServer(of: ServerCommand): Promise<ServerProcess> {
  const server = serverProcess(of);
  await server.start();
  return server;
}

function serverProcess(of: ServerCommand): ServerProcess {
  let child: ChildProcess | undefined;
  let exited: Promise<unknown> = Promise.resolve();

  const pid = (): number => child?.pid ?? -1;
  const running = (): boolean => child?.pid !== undefined && child.exitCode === null && child.signalCode === null;
  // Kept when it ends, as its folder may then go.
  let lastLog = "";
  const log = (): string => (running() ? readFileSync(of.logFile, "utf8") : lastLog);

  const kill = async (): Promise<void> => {
    if (!running()) return;
    const tree = signalTree(pid(), "SIGKILL");
    await exited;
    await until(`${of.name} and all below it are gone`, () => tree.every(isGone));
  };

  const start = async (): Promise<void> => {
    if (running()) throw new Error(`${of.name} runs already`);
    const output = openSync(of.logFile, "a", 0o600);
    const started = spawn(of.command, of.args, {
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], LC_ALL: "C", ...of.env },
      stdio: ["ignore", output, output],
      ...of.user,
    });
    closeSync(output);
    child = started;
    await once(started, "spawn");
    const ended = reapedProcess(pid());
    exited = once(started, "exit").then(() => {
      ended();
      lastLog = readFileSync(of.logFile, "utf8");
    });
    try {
      await until(`${of.name} answers`, async () => !running() || (await of.answers()));
    } catch (error) {
      await kill();
      throw new Error(`${of.name} doesn't answer; its log:\n${log()}`, { cause: error });
    }
    if (!running()) throw new Error(`${of.name} (${basename(of.command)}) ended at once; its log:\n${log()}`);
  };

  const stop = async (): Promise<void> => {
    if (!running()) return;
    process.kill(pid(), of.stopSignal ?? "SIGTERM");
    signalTree(pid(), "SIGCONT"); // A frozen one would never hear of it.
    const timer = setTimeout(() => void kill(), of.stopPatience ?? 10_000);
    await exited;
    clearTimeout(timer);
  };

  const server: ServerProcess = {
    name: of.name,
    get pid() {
      return pid();
    },
    get running() {
      return running();
    },
    kill,
    pause: () => void signalTree(pid(), "SIGSTOP"),
    resume: () => void signalTree(pid(), "SIGCONT"),
    stop,
    start,
    log,
  };
  showLogOnFailure(server);
  return server;
}
