// The baseline for start-up: a process that reads the same rows with pg and keeps their bytes, and does nothing else. Its parent sends the
// database's URL and is told when all is read.
import pg from "pg";

process.once("message", (databaseUrl: string) => {
  void load(databaseUrl).then((records) => process.send?.(records.size));
});

async function load(connectionString: string): Promise<Map<string, Buffer>> {
  const client = new pg.Client({ connectionString });
  await client.connect();
  const { rows } = await client.query<{ id: string; record: Buffer }>("select id, record from operator");
  await client.end();
  kept = new Map(rows.map(({ id, record }) => [id, Buffer.from(record)]));
  return kept;
}

let kept: Map<string, Buffer>;
// Alive until the parent ends it, so that its memory can be read.
process.on("disconnect", () => process.exit());
