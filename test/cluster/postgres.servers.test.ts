import pg from "pg";
import { expect, test } from "vitest";
import { startPostgres } from "./postgres.ts";
import { until } from "./until.ts";

test("the replica follows the primary, and takes over when it is killed", async () => {
  await using postgres = await startPostgres();
  const { primary, replica } = postgres;
  await primary.query("CREATE TABLE seen (n int)");
  await primary.query("INSERT INTO seen VALUES (1)");
  await until("the replica has it", async () => (await replica!.query("SELECT n FROM seen")).length === 1);
  await expect(replica!.query("INSERT INTO seen VALUES (2)")).rejects.toThrow("read-only");

  await primary.server.kill();
  await postgres.promote();
  await replica!.query("INSERT INTO seen VALUES (2)");

  await primary.server.start();
  expect(await primary.query("SELECT n FROM seen")).toHaveLength(1);
});

test("what was committed is there after kill -9 and a start on the same folder and port", async () => {
  await using postgres = await startPostgres({ replica: false });
  const { primary } = postgres;
  await primary.query("CREATE TABLE seen AS SELECT 1");
  const { pid } = primary.server;
  await primary.server.kill();
  expect(primary.server.running).toBe(false);
  await primary.server.start();
  expect(primary.server.pid).not.toBe(pid);
  expect(await primary.query("SELECT * FROM seen")).toHaveLength(1);
  expect(postgres.replicaUrl).toBe("");
});

test("a frozen primary takes connections, but its backends don't answer until it is resumed", async () => {
  await using postgres = await startPostgres({ replica: false });
  const client = new pg.Client(postgres.serviceUrl);
  await client.connect();
  postgres.primary.server.pause();
  let answered = false;
  const answer = client.query("SELECT 1").then(() => (answered = true));
  await expect(connect(postgres.serviceUrl, 500)).rejects.toThrow("timeout");
  expect(answered).toBe(false);
  postgres.primary.server.resume();
  await answer;
  await client.end();
});

test("the two roles reach databases of their own; a changed password counts for the next connection", async () => {
  await using postgres = await startPostgres();
  const other = await postgres.createDatabase("other");
  await connect(other.ownerUrl);
  await connect(other.replicaUrl);
  const old = postgres.serviceUrl;
  await connect(old);
  await postgres.setServicePassword("it's new: /@");
  await connect(postgres.serviceUrl);
  await expect(connect(old)).rejects.toMatchObject({ code: "28P01" });
});

async function connect(connectionString: string, connectionTimeoutMillis = 5_000): Promise<void> {
  const client = new pg.Client({ connectionString, connectionTimeoutMillis });
  try {
    await client.connect();
  } finally {
    await client.end();
  }
}
