/** What can show its log when a test fails. */
export interface Logging {
  readonly name: string;
  readonly running: boolean;
  log(): string;
}

/** Of this test process; vitest gives each test file a fresh one. */
let recent: Logging[] = [];

const LINES = 60;

/** Has the server's log shown when the running test fails, also when the server is gone by then. */
export function showLogOnFailure(server: Logging): void {
  recent.push(server);
}

/** The last lines of every server that ran since `forgetEndedServers`. */
export function recentLogs(): string {
  return recent.map((server) => `── ${server.name}, last ${LINES} lines ──\n${tail(server.log())}\n`).join("\n");
}

function tail(log: string): string {
  return log.trimEnd().split("\n").slice(-LINES).join("\n");
}

/** The next test isn't to blame for them. */
export function forgetEndedServers(): void {
  recent = recent.filter(({ running }) => running);
}
