import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { eq } from "drizzle-orm";
import { afterAll, beforeAll, expect, test } from "vitest";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { operator } from "../../src/db/schema.ts";
import { verifyHistory } from "../../src/history/verify.ts";

const writer = fileURLToPath(new URL("endless-writer.ts", import.meta.url));

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "history-kill-"));
});
afterAll(() => rm(folder, { recursive: true }));

/** Lets a process write until it has acknowledged this many revisions, and kills it in the middle of the next. */
async function writeAndKill(run: number, acknowledgements: number): Promise<[id: string, revision: bigint][]> {
  const child = spawn(process.execPath, ["--conditions=source", writer, join(folder, "postgres"), String(run)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const closed = once(child, "close");
  const acknowledged: [string, bigint][] = [];
  for await (const line of createInterface({ input: child.stdout })) {
    const [id = "", revision = ""] = line.split(" ");
    acknowledged.push([id, BigInt(revision)]);
    if (acknowledged.length === acknowledgements) child.kill("SIGKILL");
  }
  await closed;
  expect(child.signalCode).toBe("SIGKILL");
  return acknowledged;
}

test("every acknowledged revision survives kill -9, and the chain verifies, several times over", async () => {
  const acknowledged: [string, bigint][] = [];
  for (const [run, writes] of [1, 20, 75].entries()) {
    acknowledged.push(...(await writeAndKill(run, writes)));

    const database = await openEmbeddedDatabase(join(folder, "postgres"));
    for (const [id, revision] of acknowledged) {
      const [row] = await database.db.select().from(operator).where(eq(operator.id, id));
      expect({ id, revision: row?.revision }).toEqual({ id, revision });
    }
    const { problems, revisions } = await verifyHistory(database.db);
    expect(problems).toEqual([]);
    expect(revisions).toBeGreaterThanOrEqual(acknowledged.length);
    await database.close();
  }
});
