import { readFileSync } from "node:fs";
import { startControl } from "./control.ts";
import { help, parseOptions, UsageError, type Options } from "./options.ts";
import { ScriptPlayer } from "./script-player.ts";
import { startSmsc } from "./smsc.ts";

async function run(options: Options): Promise<void> {
  const log = options.quiet ? () => {} : (line: string) => console.log(line);
  const { ports, host, accounts, timers, seed } = options;
  const smsc = await startSmsc({ ports, host, accounts, timers, seed, log });
  const player = new ScriptPlayer(smsc);
  try {
    const control =
      options.controlPort === undefined ? undefined : await startControl(smsc, options.controlPort, player);
    if (control) log(`see who is bound: curl http://127.0.0.1:${control.port}/state`);
    if (accounts.length === 0) log("no accounts yet, so every bind is refused: see --account in --help");
    const played = options.script && player.play(options.script);
    await signalled();
    player.stop();
    await played;
    await control?.close();
  } finally {
    await smsc.close();
  }
}

/** A second signal ends the process at once, as the first one's handler is gone by then. */
function signalled(): Promise<void> {
  return new Promise((resolve) => {
    const stop = () => {
      process.off("SIGTERM", stop).off("SIGINT", stop);
      resolve();
    };
    process.on("SIGTERM", stop).on("SIGINT", stop);
  });
}

try {
  const options = parseOptions(process.argv.slice(2), (path) => readFileSync(path, "utf8"));
  if (options.help) console.log(help);
  else await run(options);
} catch (error) {
  if (error instanceof UsageError) console.error(`simulator: ${error.message}`);
  else if (isTaken(error))
    console.error(`simulator: port ${error.port} is in use by another process; choose another --port`);
  else if (cannotListen(error)) console.error(`simulator: ${error.message}`);
  else throw error;
  process.exitCode = 1;
}

function cannotListen(error: unknown): error is Error {
  return (
    error instanceof Error && "syscall" in error && (error.syscall === "listen" || error.syscall === "getaddrinfo")
  );
}

function isTaken(error: unknown): error is Error & { port: number } {
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE" && "port" in error;
}
