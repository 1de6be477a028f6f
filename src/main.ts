import { parseArgs } from "node:util";
import { ConfigError, configHelp, parseConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { StartError } from "./start-error.ts";
import { verifyDataFolder } from "./verify-command.ts";
import { startService, type RunningService } from "./service.ts";

const HELP = `Operator Management Service: the control plane for SMPP links to mobile operators.

Usage: npm start             serve until SIGINT or SIGTERM; a second signal stops at once
       npm start -- verify   check the stopped service's whole history; exits 1 when something doesn't fit
       npm start -- --help   this page

Environment:
${configHelp()}
`;

/** How long shutdown waits for calls in flight, in milliseconds. */
const GRACE_MS = 10_000;

/** Signals that follow the first one this closely are the same wish, in milliseconds. */
const SAME_SIGNAL_MS = 500;

async function main(): Promise<void> {
  const { values, positionals } = parseCommandLine();
  if (values.help === true) {
    process.stdout.write(HELP);
    return;
  }
  const config = parseConfig(process.env);
  const [command, ...rest] = positionals;
  if (rest.length > 0 || (command !== undefined && command !== "verify")) {
    throw new StartError(`"${positionals.join(" ")}" is no command; there is verify, and --help tells more`);
  }
  if (command === "verify") {
    const { text, valid } = await verifyDataFolder(config);
    process.stdout.write(text);
    process.exitCode = valid ? 0 : 1;
    return;
  }
  const logger = createLogger(config.log);
  let service: RunningService | undefined;
  const stopping = new AbortController();
  let firstSignal = 0;
  const onSignal = (signal: NodeJS.Signals): void => {
    // Ctrl-C reaches this process twice at once when npm started it: from the terminal and from npm.
    if (stopping.signal.aborted && performance.now() - firstSignal < SAME_SIGNAL_MS) return;
    if (stopping.signal.aborted) {
      logger.warn({ signal }, "second signal: stopping without waiting");
      process.exit(130);
    }
    logger.info({ signal }, `stopping; calls in flight have ${GRACE_MS / 1000} s`);
    firstSignal = performance.now();
    stopping.abort();
  };
  process.on("SIGINT", onSignal);
  process.on("SIGTERM", onSignal);
  try {
    service = await startService(config, { logger, signal: stopping.signal });
    if (!stopping.signal.aborted) {
      await new Promise((resolve) => stopping.signal.addEventListener("abort", resolve, { once: true }));
    }
  } catch (error) {
    if (!stopping.signal.aborted) throw error; // a start that a signal cut short is a stop, not a failure
  } finally {
    await service?.close(GRACE_MS);
    process.off("SIGINT", onSignal);
    process.off("SIGTERM", onSignal);
  }
  logger.info("stopped");
}

function parseCommandLine(): { values: { help?: boolean }; positionals: string[] } {
  try {
    return parseArgs({ options: { help: { type: "boolean", short: "h" } }, allowPositionals: true });
  } catch (cause) {
    const wrong = process.argv.slice(2).find((argument) => argument.startsWith("-")) ?? "";
    throw new StartError(`${wrong} is no option. Settings are environment variables, e.g. OPS_PORT=4000 npm start`, {
      cause,
    });
  }
}

main().catch((error: unknown) => {
  // What a person can mend gets its text; anything else its stack too.
  const isForPeople = error instanceof ConfigError || error instanceof StartError;
  const text = error instanceof Error ? (isForPeople ? error.message : (error.stack ?? error.message)) : String(error);
  process.stderr.write(`operator-management-service did not start:\n${text}\n`);
  if (error instanceof ConfigError) process.stderr.write("Run `npm start -- --help` for all settings.\n");
  process.exitCode = 1;
});
