import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { startPostgres, type Postgres } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { startCuttingProxy, type CuttingProxy, type Injury } from "./support-cutting-proxy.ts";

/** Invariant: an injury happens exactly where it was ordered, so that a test which orders "before COMMIT" is about that moment. */
describe("the proxy that cuts connections to PostgreSQL", () => {
  let postgres: Postgres;
  let proxy: CuttingProxy;
  beforeAll(async () => {
    postgres = await startPostgres({ replica: false });
    proxy = await startCuttingProxy(postgres.primary.port);
    await postgres.primary.query("CREATE TABLE written (n int)");
    await postgres.primary.query("GRANT ALL ON written TO ops_service");
  });
  afterAll(async () => {
    await proxy[Symbol.asyncDispose]();
    await postgres[Symbol.asyncDispose]();
  });

  const insert = async (n: number): Promise<void> => {
    const url = new URL(postgres.serviceUrl);
    url.port = String(proxy.port);
    const client = new pg.Client(url.href);
    client.on("error", () => {}); // the query says so
    await client.connect();
    try {
      await client.query("begin");
      await client.query("insert into written values ($1)", [n]);
      await client.query("commit");
    } finally {
      await client.end();
    }
  };
  const isWritten = async (n: number): Promise<boolean> => {
    // What is cut off may still be at work.
    await until("nobody is in a transaction", async () => {
      const [row] = await postgres.primary.query<{ n: number }>(
        "SELECT count(*)::int AS n FROM pg_stat_activity WHERE usename = 'ops_service'",
      );
      return row?.n === 0;
    });
    return (await postgres.primary.query("SELECT 1 FROM written WHERE n = $1", [n])).length > 0;
  };
  const atCommit = ({ sql }: { sql: string }): boolean => sql === "commit";

  it("counts the client's messages from begin to commit", async () => {
    await insert(1);
    expect(proxy.lastTransaction().map(({ index, type, sql }) => `${index} ${type} ${sql}`)).toEqual([
      "0 Q begin",
      ...["P", "B", "D", "E", "S"].map((type, index) => `${index + 1} ${type} insert into written values ($1)`),
      "6 Q commit",
    ]);
    expect(await isWritten(1)).toBe(true);
  });

  it.each([0, 1, 2, 3, 4, 5, 6])("lets nothing through from message %i on when it cuts before it", async (index) => {
    const inflicted = proxy.injure((step) => step.index === index, { kind: "cut before" });
    await expect(insert(10 + index)).rejects.toThrow();
    expect((await inflicted).step.index).toBe(index);
    expect(await isWritten(10 + index)).toBe(false);
  });

  const answers: readonly [Injury & { kind: "cut the answer" }, boolean][] = [
    [{ kind: "cut the answer", after: 0 }, false],
    [{ kind: "cut the answer", after: 1 }, false],
    [{ kind: "cut the answer", after: 1_000 }, true],
  ];
  it.each(answers)("lets the server commit, and the client know as much as ordered: %o", async (injury, isTold) => {
    const n = 20 + injury.after;
    const inflicted = proxy.injure(atCommit, injury);
    const told = await insert(n).then(
      () => true,
      () => false,
    );
    expect(told).toBe(isTold);
    await inflicted;
    expect(await isWritten(n)).toBe(true);
  });

  it("holds a transaction back for as long as the server lets it", async () => {
    const inflicted = proxy.injure(atCommit, { kind: "hold" });
    const inserted = insert(40).then(
      () => "inserted",
      () => "failed",
    );
    const { ended } = await inflicted;
    await postgres.primary.query(
      "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'",
    );
    await ended;
    expect(await inserted).toBe("failed");
    expect(await isWritten(40)).toBe(false);
  });
});
