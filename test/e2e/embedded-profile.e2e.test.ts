import { spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { eq } from "drizzle-orm";
import { describe, expect, it } from "vitest";
import { openEmbeddedDatabase } from "../../src/db/embedded-database.ts";
import { operator } from "../../src/db/schema.ts";
import { freePort } from "../harness/free-port.ts";
import { spawnService, startTestService } from "../harness/service.ts";

const ROOT = join(import.meta.dirname, "../..");

async function runMain(
  args: string[],
  env: Record<string, string>,
): Promise<{ code: number | null; stdout: string; stderr: string }> {
  const child = spawn(process.execPath, ["--conditions=source", "src/main.ts", ...args], {
    cwd: ROOT,
    env: { PATH: process.env.PATH, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  let [stdout, stderr] = ["", ""];
  child.stdout.on("data", (data: Buffer) => (stdout += data.toString()));
  child.stderr.on("data", (data: Buffer) => (stderr += data.toString()));
  const [code] = (await once(child, "close")) as [number | null];
  return { code, stdout, stderr };
}

describe("the embedded profile", () => {
  it("keeps everything over a restart and over kill -9", async () => {
    await using first = await spawnService();
    const { dataDir } = first;
    await first.admin.createOperator({
      operatorId: "kept",
      operator: { displayName: "kept", connections: { main: {} } },
    });
    const credential = { operatorId: "kept", connectionId: "main", systemId: "kept01", password: "kept-pass" };
    const { credential: stored } = await first.admin.setConnectionCredential(credential);
    const { operator, token } = await first.admin.getOperator({ operatorId: "kept" });
    await first.kill();

    await using second = await spawnService({ dataDir });
    const afterKill = await second.mesh.getOperator({ operatorId: "kept" });
    expect(afterKill).toEqual(expect.objectContaining({ operator, token }));
    const asked = { operatorId: "kept", connectionId: "main", credentialId: stored?.id ?? "" };
    const { secret } = await second.mesh.getConnectionCredential(asked);
    expect(secret).toMatchObject({ systemId: "kept01", password: "kept-pass" });
    await second.close();
    expect(second.process.exitCode).toBe(0);

    await using third = await spawnService({ dataDir });
    expect(await third.mesh.getOperator({ operatorId: "kept" })).toEqual(expect.objectContaining({ operator, token }));
    expect(await third.admin.verifyHistory({})).toMatchObject({ valid: true, revisions: 2, problems: [] });
  });

  it("serves every operator although a row was damaged by hand, and VerifyHistory says which", async () => {
    await using first = await spawnService();
    const { dataDir } = first;
    for (const operatorId of ["damaged", "healthy"]) await first.admin.createOperator({ operatorId });
    const before = await first.mesh.listOperators({});
    await first.close();
    const database = await openEmbeddedDatabase(join(dataDir, "postgres"));
    await database.db
      .update(operator)
      .set({ record: new Uint8Array([0xff, 0xff]) })
      .where(eq(operator.id, "damaged"));
    await database.close();

    await using second = await spawnService({ dataDir });
    expect((await second.mesh.listOperators({})).operators).toEqual(before.operators);
    const { valid, problems } = await second.admin.verifyHistory({});
    expect(valid).toBe(false);
    expect(problems.map(({ table }) => table)).toContain("operator");
    await second.close();
    const offline = await runMain(["verify"], { OPS_DATA_DIR: dataDir });
    expect(offline.code).toBe(1);
    expect(offline.stdout).toContain("2 revisions, 2 operators");
    expect(offline.stdout).toMatch(/^operator /m);
  });

  it("gives a connection that was removed and added again no credential of the old one", async () => {
    await using service = await startTestService();
    const at = { operatorId: "acme", connectionId: "main" };
    await service.admin.createOperator({ operatorId: "acme", operator: { connections: { main: {} } } });
    await service.admin.setConnectionCredential({ ...at, systemId: "acme01", password: "old" });
    await service.admin.updateOperator({ operatorId: "acme", updateMask: { paths: ["connections.main"] } });
    await service.admin.updateOperator({ operatorId: "acme", operator: { connections: { main: {} } } });
    const { versions } = await service.admin.getCredentialStatus(at);
    expect(versions.map(({ state }) => CredentialState[state])).toEqual(["SUPERSEDED"]);
  });

  it("refuses to start on a folder that another process has, and says what to do", async () => {
    await using service = await spawnService();
    const port = String(await freePort());
    const second = await runMain([], { OPS_DATA_DIR: service.dataDir, OPS_PORT: port, OPS_METRICS_PORT: "0" });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`is in use by process ${service.process.pid}`);
    expect(second.stderr).not.toContain("    at ");
    expect(await service.admin.listOperators({})).toMatchObject({ operators: [] });
  });

  it("names the setting whose port is taken, and leaves nothing locked", async () => {
    await using service = await startTestService();
    const taken = new URL(service.url).port;
    await using other = await startTestService();
    await other.close();
    const second = await runMain([], { OPS_DATA_DIR: other.dataDir, OPS_PORT: taken, OPS_METRICS_PORT: "0" });
    expect(second.code).toBe(1);
    expect(second.stderr).toContain(`port ${taken} is taken. Stop what uses it, or choose another with OPS_PORT`);
    const third = await spawnService({ dataDir: other.dataDir });
    await third.close();
  });

  it("verifies only a folder that is there and not in use", async () => {
    await using service = await startTestService();
    const inUse = await runMain(["verify"], { OPS_DATA_DIR: service.dataDir });
    expect(inUse.code).toBe(1);
    expect(inUse.stderr).toContain("call VerifyHistory on the running service");
    const missing = await runMain(["verify"], { OPS_DATA_DIR: join(service.dataDir, "none") });
    expect(missing.code).toBe(1);
    expect(missing.stderr).toContain("there is nothing to verify");
    const mistyped = await runMain(["--port", "4000"], {});
    expect(mistyped.code).toBe(1);
    expect(mistyped.stderr).toContain("--port is no option");
    expect(mistyped.stderr).not.toContain("    at ");
  });

  it("lists its settings with --help, and all problems of a bad environment at once", async () => {
    const help = await runMain(["--help"], {});
    expect(help.code).toBe(0);
    expect(help.stdout).toContain("OPS_DATA_DIR");
    const bad = await runMain([], { OPS_PORT: "nine", OPS_LOG_LEVEL: "loud" });
    expect(bad.code).toBe(1);
    expect(bad.stderr).toContain('OPS_PORT: "nine" is not a port');
    expect(bad.stderr).toContain('OPS_LOG_LEVEL: "loud" is not one of');
  });

  it("prints a command to paste that lists the operators, and never the token", async () => {
    await using service = await spawnService();
    const log = service.logLines.join("\n");
    expect(log).not.toContain(service.adminToken);
    const messages = service.logLines.map((line) => (JSON.parse(line) as { msg: string }).msg);
    const command = /curl -sS -H [^\n]*?\/v1\/admin\/operators/.exec(messages.join("\n"))?.[0];
    const shell = spawn("sh", ["-c", command ?? "false"], { cwd: ROOT, stdio: ["ignore", "pipe", "inherit"] });
    let answer = "";
    shell.stdout.on("data", (data: Buffer) => (answer += data.toString()));
    await once(shell, "close");
    expect(JSON.parse(answer)).toHaveProperty("token");
  });

  it("answers its probes: started and ready while it serves", async () => {
    await using service = await startTestService();
    for (const probe of ["livez", "startupz", "readyz"]) {
      expect((await fetch(`${service.metricsUrl}/${probe}`)).status, probe).toBe(200);
    }
    expect((await fetch(`${service.metricsUrl}/nothing`)).status).toBe(404);
    const metrics = await (await fetch(`${service.metricsUrl}/metrics`)).text();
    expect(metrics).toMatch(/^ops_build_info\{version="\d+\.\d+\.\d+",node="v22[^"]*",profile="embedded"\} 1$/m);
    expect(metrics).toMatch(/^ops_catalog_revision 0$/m);
  });

  it("ends once it is stopped, although something is still open, and says what", async () => {
    const env = { NODE_OPTIONS: "--import=data:text/javascript,setInterval(()=>{},60000)" };
    await using service = await spawnService({ env });
    await expect(service.close()).rejects.toThrow(/did not end by itself: .*"resources":\[.*"Timeout"/);
    expect(service.process.exitCode).toBe(0);
  });
});
