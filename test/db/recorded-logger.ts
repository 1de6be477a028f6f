import { pino, type Logger } from "pino";

/** The service's kind of logger, with its lines kept. */
export function recordedLogger(): { readonly logger: Logger; readonly lines: string[] } {
  const lines: string[] = [];
  const formatters = { level: (level: string) => ({ level }) };
  const logger = pino({ level: "trace", base: null, formatters }, { write: (line: string) => void lines.push(line) });
  return { logger, lines };
}
