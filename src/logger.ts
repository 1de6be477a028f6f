import { pino, type Logger } from "pino";
import pretty from "pino-pretty";
import type { Config } from "./config.ts";
import { safeLogging } from "./rpc/redact.ts";

/** The process's log, on standard output: JSON lines for machines, or one readable line each. Written synchronously, so that a crash loses none. */
export function createLogger(config: Config["log"]): Logger {
  const options = {
    level: config.level,
    base: null,
    formatters: { ...safeLogging.formatters, level: (label: string) => ({ level: label }) },
    serializers: safeLogging.serializers,
  };
  if (config.format === "json") return pino(options, pino.destination({ dest: 1, sync: true }));
  return pino(
    options,
    pretty({
      destination: 1,
      sync: true,
      colorize: process.stdout.isTTY,
      translateTime: "SYS:HH:MM:ss.l",
      ignore: "requestId,service,method,code",
      singleLine: true,
    }),
  );
}
