import { execFile } from "node:child_process";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { findServer } from "../test/cluster/servers.ts";
import { OPERATOR, type Statement } from "./same-transaction.ts";

const run = promisify(execFile);

/**
 * Transactions per second with this many clients, each changing an operator of its own. The protocol is the service's: each statement is
 * parsed anew.
 */
export async function pgbench(
  databaseUrl: string,
  statements: readonly Statement[],
  { clients, seconds }: { readonly clients: number; readonly seconds: number },
): Promise<number> {
  const folder = await mkdtemp(join(tmpdir(), "pgbench-"));
  try {
    const script = join(folder, "script.sql");
    await writeFile(script, scriptOf(statements));
    const { hostname, port, username, password, pathname } = new URL(databaseUrl);
    const load = ["-c", String(clients), "-j", "1", "-T", String(seconds), "-M", "extended", "-f", script];
    const { stdout } = await run(
      findServer("pgbench"),
      ["-n", ...load, "-h", hostname, "-p", port, "-U", username, pathname.slice(1)],
      { env: { PATH: process.env.PATH, PGPASSWORD: decodeURIComponent(password) } },
    );
    const [, perSecond] = /^tps = ([\d.]+)/m.exec(stdout) ?? [];
    if (perSecond === undefined) throw new Error(`pgbench printed no tps:\n${stdout}`);
    return Number(perSecond);
  } finally {
    await rm(folder, { recursive: true });
  }
}

function scriptOf(statements: readonly Statement[]): string {
  const lines = statements.map(({ sql, keepAs }) => {
    const text = sql.replaceAll(OPERATOR, ":client_id").replaceAll(/\s*\n\s*/g, " ");
    return keepAs === undefined ? `${text};` : `${text} \\gset ${keepAs}_`;
  });
  return ["begin;", ...lines, "commit;", ""].join("\n");
}
