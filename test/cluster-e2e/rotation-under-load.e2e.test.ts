import { randomBytes } from "node:crypto";
import { readFile, writeFile } from "node:fs/promises";
import pg from "pg";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import type { PostgresNode } from "../cluster/postgres.ts";
import { until } from "../cluster/until.ts";
import { KINDS, startRotationLoad, type Load } from "./support-rotation-load.ts";

const PLAN = { writers: 50, readers: 100, passwordSetters: 5 };
/** Of each kind, at each pod, after each step of a rotation. */
const CALLS = 1;

/**
 * Invariant: while PostgreSQL's password, NATS's password, the token for Vault and the operators' passwords are rotated, none of the calls of
 * 50 writers and 100 readers fails, although they repeat nothing; and afterwards every pod lives on what is new.
 *
 * To make a pod's connections new without hurting a call it is taken out of the load first, as before a restart: a call whose connection is
 * ended under it may fail, whatever the password is. Operators' passwords are set anew here, on connections in DRAFT.
 */
describe("under the load of 50 writers and 100 readers", () => {
  let cluster: Cluster;
  let load: Load;

  beforeAll(async () => {
    // An agent renews at two thirds of the token's life; up to 3 s a token that is revoked out of turn fails no call.
    cluster = await startCluster({ nats: 1, passwords: "vault", vault: { agent: true, tokenTtl: "2s" } });
    load = await startRotationLoad(cluster, PLAN);
  });
  afterAll(async () => {
    await load?.[Symbol.asyncDispose]();
    await cluster?.[Symbol.asyncDispose]();
  });

  const stillWell = async (): Promise<void> => {
    await load.answered(CALLS);
    expect(load.failures).toEqual([]);
  };

  test("PostgreSQL's password is rotated", async () => {
    await stillWell();
    const { postgres } = cluster;
    const [oldPassword, newPassword] = [postgres.servicePassword, randomPassword()];
    await storeInVault(cluster, "postgres", newPassword);
    await stillWell();
    await postgres.setServicePassword(newPassword);
    const nodes = [postgres.primary, ...(postgres.replica ? [postgres.replica] : [])];
    for (const node of nodes) {
      await until("the node refuses the old password", () => isRefused(node.port, oldPassword));
    }
    const rotated = await timeOf(postgres.primary);
    await stillWell();

    for (const pod of [...cluster.pods]) {
      await load.takeOut(pod);
      await renewConnections(cluster, pod);
      load.putIn(pod);
      await stillWell();
    }
    load.putIn(await cluster.startPod());
    await stillWell();
    for (const node of nodes) {
      await until("all connections are newer than the password", async () => {
        return (await sessionsOn(node)).every(({ started }) => started > rotated);
      });
    }
    const uses = Map.groupBy(await sessionsOn(postgres.primary), ({ use }) => use);
    for (const use of ["write", "tail", "notifications and locks"]) {
      expect(uses.get(`operator-management ${use}`)?.length, use).toBeGreaterThanOrEqual(cluster.pods.length);
    }
  });

  test("the token for Vault is rotated: revoked out of turn, and by an agent that logs in again", async () => {
    const { vault } = cluster;
    const tokens = [await readFile(vault.tokenFile, "utf8")];
    const isAnother = async (): Promise<boolean> => !tokens.includes(await readFile(vault.tokenFile, "utf8"));
    await vault.revokeServiceToken();
    await until("the agent has another token", isAnother);
    await stillWell();

    tokens.push(await readFile(vault.tokenFile, "utf8"));
    await vault.agent?.stop();
    await vault.agent?.start();
    await until("the agent has another token", isAnother);
    await vault.api.call("PUT", "auth/token/revoke", { token: tokens.at(-1)?.trim() });
    await stillWell();
  });

  test("NATS's password is rotated", async () => {
    const [node] = cluster.nats.nodes;
    if (node === undefined) throw new Error("a cluster without NATS");
    const configFile = (await readFile(`/proc/${node.server.pid}/cmdline`, "utf8")).split("\0")[2] ?? "";
    const config = await readFile(configFile, "utf8");
    const newPassword = randomPassword();
    const before = await connectionsOf(node.monitoringPort);
    expect(before.length).toBeGreaterThanOrEqual(cluster.pods.length);
    await storeInVault(cluster, "nats", newPassword);
    await writeFile(configFile, config.replaceAll(cluster.nats.password, newPassword));
    process.kill(node.server.pid, "SIGHUP"); // reads it again, and ends the connections of the old password
    await until("every pod is connected with the new password", async () => {
      const now = await connectionsOf(node.monitoringPort);
      return now.length >= cluster.pods.length && now.every((id) => !before.includes(id));
    });
    await stillWell();
  });

  test("operators' passwords were set anew all the time, and readers got those that belong to the ids they asked for", async () => {
    await stillWell();
    await load[Symbol.asyncDispose]();
    const { counts, failures, replaced, passwords } = load;
    console.log(
      [
        `${KINDS.map((kind) => `${counts[kind]} × ${kind}`).join(", ")}: ${failures.length} failed`,
        `${passwords.set.size} operators' passwords, ${passwords.read.size} of them read, ${replaced} replaced while a reader asked`,
      ].join("; "),
    );
    expect(failures).toEqual([]);
    expect(passwords.read.size).toBeGreaterThan(PLAN.passwordSetters);
    for (const [id, password] of passwords.read) expect(password).toBe(passwords.set.get(id));
  });
});

/** Ends all that the pod has open to PostgreSQL; resolves when it is connected again. It takes no calls meanwhile. */
async function renewConnections({ postgres }: Cluster, pod: Pod): Promise<void> {
  const cutAt = await timeOf(postgres.primary);
  const links = [pod.links.primary, pod.links.replica];
  for (const link of links) await link.cut();
  for (const link of links) await link.heal();
  await until(`${pod.name} listens to the database again`, async () => {
    const sessions = await sessionsOn(postgres.primary);
    return sessions.some(({ use, started }) => use.endsWith("notifications and locks") && started > cutAt);
  });
  await until(`${pod.name} is ready`, async () => (await fetch(`${pod.service.metricsUrl}/readyz`)).status === 200);
}

interface Session {
  readonly use: string;
  /** Seconds, by the server's clock; both servers run on this machine. */
  readonly started: number;
}

function sessionsOn(node: PostgresNode): Promise<Session[]> {
  return node.query<Session>(
    `SELECT application_name AS use, extract(epoch FROM backend_start)::float8 AS started
     FROM pg_stat_activity WHERE usename = 'ops_service'`,
  );
}

async function timeOf(node: PostgresNode): Promise<number> {
  const [row] = await node.query<{ now: number }>("SELECT extract(epoch FROM clock_timestamp())::float8 AS now");
  if (row === undefined) throw new Error("no time");
  return row.now;
}

async function isRefused(port: number, password: string): Promise<boolean> {
  const client = new pg.Client({ host: "127.0.0.1", port, user: "ops_service", password, database: "ops" });
  try {
    await client.connect();
    await client.end();
    return false;
  } catch (error) {
    return error instanceof pg.DatabaseError && error.code === "28P01";
  }
}

async function connectionsOf(monitoringPort: number): Promise<number[]> {
  const answer = await fetch(`http://127.0.0.1:${monitoringPort}/connz`);
  const { connections } = (await answer.json()) as { connections: { cid: number }[] };
  return connections.map(({ cid }) => cid);
}

async function storeInVault({ vault }: Cluster, server: "postgres" | "nats", password: string): Promise<void> {
  await vault.api.call("PUT", `secret/data/ops/service/${server}`, { data: { password } });
}

function randomPassword(): string {
  return randomBytes(16).toString("hex");
}
