import type { Logger } from "pino";

/** What a person needs to know to go on from a service that has just started. */
export interface ReadyFacts {
  readonly host: string;
  readonly port: number;
  readonly metricsPort: number;
  /** Shell words that print an admin's token. */
  readonly printToken: string;
  readonly operators: number;
  /** The head's fingerprint: kept elsewhere, it proves later that this history was not rewritten. */
  readonly fingerprint: Uint8Array;
  /** From start to ready. */
  readonly ms: number;
}

/** Logs that the service is ready, and commands to paste. The admin token is named by its file, never printed. */
export function logReady(logger: Logger, facts: ReadyFacts): void {
  const host = facts.host === "::1" ? "[::1]" : facts.host;
  const url = `http://${host}:${facts.port}`;
  const { port, metricsPort, operators, ms, printToken } = facts;
  const fingerprint = Buffer.from(facts.fingerprint).toString("hex");
  logger.info({ ready: true, pid: process.pid, port, metricsPort, operators, fingerprint, ms }, `ready on ${url}`);
  logger.info(`list operators:  curl -sS -H "Authorization: Bearer $(${printToken})" ${url}/v1/admin/operators`);
  logger.info(`metrics, probes: curl -sS http://${host}:${metricsPort}/metrics   (also /livez, /readyz, /startupz)`);
  logger.info("see it all work: npm run demo   (in another terminal; it brings its own service)");
}
