import { setDefaultHighWaterMark } from "node:stream";
import type { Logger } from "pino";
import { runCommand } from "./commands.ts";
import { ConfigError, parseConfig } from "./config.ts";
import { createLogger } from "./logger.ts";
import { StartError } from "./start-error.ts";
import { startService, type RunningService } from "./service.ts";

/** How long shutdown waits for calls in flight, in milliseconds. */
const GRACE_MS = 10_000;

/** How long the process may take to end once all is closed, in milliseconds. */
const LINGER_MS = 2_000;

/** Signals that follow the first one this closely are the same wish, in milliseconds. */
const SAME_SIGNAL_MS = 500;

/** What a stream holds before its writer has to wait. Node's 64 KiB would be 64 MiB for a thousand watches. */
const STREAM_BUFFER_BYTES = 16 * 1024;

async function main(): Promise<void> {
  setDefaultHighWaterMark(false, STREAM_BUFFER_BYTES);
  const exitCode = await runCommand(process.env, (text) => void process.stdout.write(text));
  if (exitCode !== undefined) {
    process.exitCode = exitCode;
    return;
  }
  const config = parseConfig(process.env);
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
  exitSoon(logger);
}

/** Nothing is open any more, so the process ends by itself. If that is wrong, it says so, and doesn't stay until somebody kills it. */
function exitSoon(logger: Logger): void {
  setTimeout(() => {
    logger.error({ resources: process.getActiveResourcesInfo() }, "something is still open: ending all the same");
    process.exit(0);
  }, LINGER_MS).unref();
}

main().catch((error: unknown) => {
  // What a person can mend gets its text; anything else its stack too.
  const isForPeople = error instanceof ConfigError || error instanceof StartError;
  const text = error instanceof Error ? (isForPeople ? error.message : (error.stack ?? error.message)) : String(error);
  process.stderr.write(`operator-management-service did not start:\n${text}\n`);
  if (error instanceof ConfigError) process.stderr.write("Run `npm start -- --help` for all settings.\n");
  process.exitCode = 1;
});
