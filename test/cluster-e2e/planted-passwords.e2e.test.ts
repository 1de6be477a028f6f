import { randomBytes } from "node:crypto";
import { readlinkSync } from "node:fs";
import { readFile, stat } from "node:fs/promises";
import { dirname } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { startCluster, type Cluster, type Pod } from "../cluster/cluster.ts";
import { descendants } from "../cluster/process-tree.ts";
import { until } from "../cluster/until.ts";
import { newCertificate } from "../credentials/certificates.ts";
import { untilAnswered } from "../history-checker/writers.ts";
import { adminOf, meshOf } from "./support-clients.ts";
import { filesBelow, Needles } from "./support-needles.ts";
import { AT, mistakes } from "./support-password-mistakes.ts";

const METHODS = "/v1/admin/operators/ops.v1.OperatorAdminService";

/**
 * Invariant: passwords, private keys, the service's own passwords and everybody's tokens are in Vault and where people put them, and nowhere
 * else: in no file of PostgreSQL (both nodes, WAL included) or of NATS, in no log of any process at the most talkative level, no
 * command line, no environment, no metric. Also not when a call is refused or fails, and when pods and servers are killed in the middle.
 * PostgreSQL compresses large values, in which this search finds only what it left alone; random text it does leave alone.
 */
describe("planted passwords", () => {
  /** Every planted operator's password begins with it. */
  const mark = randomBytes(12).toString("hex");
  /** No secrets: what is found when the search works. */
  const controls = { systemId: `sys${randomBytes(6).toString("hex")}`, displayName: randomBytes(12).toString("hex") };
  const shortPassword = `Z${randomBytes(8).toString("base64url").replaceAll(/[-_]/g, "x").slice(0, 7)}`;
  const secrets = new Needles();
  const output: string[] = [];
  let planted = 0;
  let cluster: Cluster;

  const password = (): string => `${mark}-${planted++}`;
  const secretText = (name: string, text: string): void => secrets.add(name, Buffer.from(text.slice(0, 24)));
  const noteVaultToken = async (): Promise<void> => {
    secretText("Vault token", (await readFile(cluster.vault.tokenFile, "utf8")).trim());
  };
  const listen = ({ service }: Pod): void => {
    service.process.stdout?.on("data", (data: Buffer) => output.push(data.toString()));
    service.process.stderr?.on("data", (data: Buffer) => output.push(data.toString()));
  };
  const podAt = (index: number): Pod => {
    const pod = cluster.pods[index];
    if (pod === undefined) throw new Error(`no pod ${index}`);
    return pod;
  };
  const set = (pod: Pod, more: object = {}): Promise<unknown> => {
    const request = { ...AT, systemId: controls.systemId, password: password(), ...more };
    return untilAnswered((requestId) =>
      adminOf(pod, cluster, 20_000).setConnectionCredential({ ...request, requestId }),
    );
  };
  /** As a program that gets everything wrong. */
  const post = async (pod: Pod, method: string, body: string, token = cluster.adminToken): Promise<string> => {
    const answers = ["application/json", "application/proto", "text/plain"].map(async (type) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": type };
      const reply = await fetch(`${pod.service.url}${METHODS}/${method}`, { method: "POST", headers, body });
      return `${reply.status} ${await reply.text()}`;
    });
    return (await Promise.all(answers)).join("\n");
  };
  const plantBadly = async (pod: Pod): Promise<void> => {
    for (const [method, body] of mistakes(password, shortPassword)) {
      const answer = await post(pod, method, typeof body === "string" ? body : JSON.stringify(body));
      expect([...secrets.in(Buffer.from(answer))], `${method} ${JSON.stringify(body)}`).toEqual([]);
    }
  };

  beforeAll(async () => {
    const env = { OPS_LOG_LEVEL: "trace" };
    cluster = await startCluster({ nats: 1, passwords: "vault", vault: { agent: true, tokenTtl: "2s" }, env });
    secrets.add("operator's password", Buffer.from(mark));
    secrets.add("short password", Buffer.from(shortPassword));
    secretText("PostgreSQL password", cluster.postgres.servicePassword);
    secretText("NATS password", cluster.nats.password);
    for (const [role, token] of Object.entries(cluster.tokens)) secretText(`token of ${role}`, token);
    await noteVaultToken();
    for (const pod of cluster.pods) {
      output.push(...pod.service.logLines);
      listen(pod);
    }
    const operator = { displayName: controls.displayName, connections: { main: {} } };
    await untilAnswered((requestId) =>
      adminOf(podAt(0), cluster, 20_000).createOperator({ ...AT, operator, requestId }),
    );
  });
  afterAll(() => cluster?.[Symbol.asyncDispose]());

  test("are entered in good calls, in bad ones, and while servers are away and processes die", async () => {
    const { postgres, vault, nats } = cluster;
    await set(podAt(0));
    await set(podAt(1), { password: password().padEnd(1_000, "x") }).catch(() => undefined); // perhaps too long
    for (const [name, { chainPem, keyPem }] of Object.entries({ good: newCertificate(), wrong: newCertificate() })) {
      noteKey(secrets, name, keyPem);
      const clientCertificate = { chainPem: name === "good" ? chainPem : newCertificate().chainPem, keyPem };
      const done = set(podAt(2), { clientCertificate });
      if (name === "good") await done;
      else await expect(done).rejects.toThrow();
    }
    await Promise.all(cluster.pods.map(plantBadly));
    const stranger = randomBytes(18).toString("hex");
    secretText("token that nobody has", stranger);
    await post(podAt(0), "GetOperator", "{}", stranger);

    const whileAway = async (): Promise<void> => {
      const one = (pod: Pod): Promise<unknown> =>
        adminOf(pod, cluster, 5_000).setConnectionCredential({
          ...AT,
          systemId: controls.systemId,
          password: password(),
        });
      const results = await Promise.allSettled(cluster.pods.map(one));
      expect(results.map(({ status }) => status)).toEqual(cluster.pods.map(() => "rejected"));
      await plantBadly(podAt(0));
    };
    await vault.seal();
    await whileAway();
    await vault.unseal();
    await postgres.primary.server.kill();
    await whileAway();
    await postgres.primary.server.start();
    await set(podAt(1));

    // The service's own: another one each.
    const next = randomBytes(16).toString("hex");
    secretText("PostgreSQL's next password", next);
    await vault.api.call("PUT", "secret/data/ops/service/postgres", { data: { password: next } });
    await postgres.setServicePassword(next);
    const before = await readFile(vault.tokenFile, "utf8");
    await vault.revokeServiceToken();
    await until("the agent has another token", async () => (await readFile(vault.tokenFile, "utf8")) !== before);
    await noteVaultToken();
    await nats.nodes[0]?.server.kill();
    await set(podAt(2));
    await nats.nodes[0]?.server.start();

    for (const pod of [...cluster.pods]) {
      const calls = Array.from({ length: 4 }, () => set(pod));
      await pod.kill();
      await pod.restart();
      output.push(...pod.service.logLines);
      listen(pod);
      await Promise.all(calls);
    }
    await set(podAt(0));
  });

  test("can be read by those who may", async () => {
    const mesh = meshOf(podAt(0), 20_000);
    const { token } = await adminOf(podAt(0), cluster, 20_000).getOperator({ operatorId: AT.operatorId });
    const consistency = { requirement: { case: "atLeastAsFresh", value: token } } as const;
    const { operator } = await mesh.getOperator({ operatorId: AT.operatorId, consistency });
    const credentialId = operator?.connections["main"]?.credential?.active?.id ?? "";
    const { secret } = await mesh.getConnectionCredential({ ...AT, credentialId });
    expect(secret?.password).toMatch(new RegExp(`^${mark}-`));
    await until("the read's audit, which nobody waits for, is stored", async () => {
      const sql = "SELECT FROM audit_event WHERE strpos(target, $1) > 0";
      return (await cluster.postgres.primary.query(sql, [credentialId])).length > 0;
    });
  });

  test("are nowhere in files, logs, metrics, command lines and environments, and the search would find them", async () => {
    const { postgres, nats } = cluster;
    const { primary, replica } = postgres;
    if (replica === undefined) throw new Error("a cluster without a replica");
    await primary.query("CHECKPOINT");
    const [row] = await primary.query<{ lsn: string }>("SELECT pg_current_wal_flush_lsn()::text AS lsn");
    await until("the replica has replayed everything", async () => {
      const sql = "SELECT pg_last_wal_replay_lsn() >= $1::pg_lsn AS done";
      return (await replica.query<{ done: boolean }>(sql, [row?.lsn]))[0]?.done === true;
    });
    await replica.query("CHECKPOINT");

    const control = new Needles();
    control.add("system_id", Buffer.from(controls.systemId));
    control.add("display name", Buffer.from(controls.displayName));
    const configFile = (await commandLine(nats.nodes[0]?.server.pid ?? 0))[2] ?? "";
    const stores = { primary: primary.dataDir, replica: replica.dataDir, nats: configFile.replace(/\.conf$/, "") };
    const hits: string[] = [];
    let [files, bytes] = [0, 0];
    const search = async (file: string): Promise<void> => {
      files++;
      bytes += (await stat(file)).size;
      for (const name of await secrets.inFile(file)) hits.push(`${name} in ${file}`);
    };
    for (const [name, folder] of Object.entries(stores)) {
      const found = new Set<string>();
      const all = await filesBelow(folder);
      expect(all.length, name).toBeGreaterThan(0);
      for (const file of all) {
        try {
          await search(file);
          for (const each of await control.inFile(file)) found.add(each);
        } catch (error) {
          if ((error as NodeJS.ErrnoException).code !== "ENOENT") throw error; // removed meanwhile
        }
      }
      expect([...found], name).toContain("display name (raw)");
      if (name !== "nats") expect([...found], name).toContain("system_id (raw)");
    }

    const processes = descendants(process.pid);
    const logs = new Set(processes.flatMap((pid) => [1, 2].map((fd) => linkOf(`/proc/${pid}/fd/${fd}`))));
    const logFiles = [...logs].filter((file) => file.endsWith(".log"));
    // PostgreSQL twice, NATS, Vault, its agent, toxiproxy.
    expect(logFiles.length).toBeGreaterThanOrEqual(6);
    expect(logFiles.map(dirname)).toContain(dirname(primary.dataDir));
    for (const file of logFiles) await search(file);
    for (const pid of processes) {
      for (const name of ["cmdline", "environ"]) {
        const content = await readFile(`/proc/${pid}/${name}`).catch(() => Buffer.alloc(0));
        for (const each of secrets.in(content))
          hits.push(`${each} in the ${name} of ${content.toString().slice(0, 40)}`);
      }
    }
    const metrics = cluster.pods.map(async (pod) => (await fetch(`${pod.service.metricsUrl}/metrics`)).text());
    const said = Buffer.from([...output, ...(await Promise.all(metrics))].join("\n"));
    expect(said.includes("SetConnectionCredential")).toBe(true);
    for (const name of secrets.in(said)) hits.push(`${name} in a pod's output`);
    console.log(
      `${planted} passwords planted; ${files} files of ${Math.round(bytes / 1e6)} MB, ${processes.length} processes, ` +
        `${Math.round(said.length / 1e3)} kB of pods' output searched: ${hits.length} found`,
    );
    expect(hits).toEqual([]);
  });
});

/** The key's own bytes, which also find it in base64 as PEM has it, and PEM's text, encoded once more. */
function noteKey(secrets: Needles, name: string, keyPem: string): void {
  const body = keyPem.replace(/-----.*?-----|\s/g, "");
  secrets.add(`${name} private key`, Buffer.from(body, "base64").subarray(-32));
  secrets.add(`${name} private key as PEM`, Buffer.from(body.slice(-30)));
}

async function commandLine(pid: number): Promise<string[]> {
  return (await readFile(`/proc/${pid}/cmdline`, "utf8")).split("\0");
}

/** Empty when there is none, or the process is gone. */
function linkOf(path: string): string {
  try {
    return readlinkSync(path);
  } catch {
    return "";
  }
}
