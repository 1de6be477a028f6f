import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { join } from "node:path";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { and, eq } from "drizzle-orm";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { sweepCredentials } from "../../src/credentials/sweep.ts";
import { credential } from "../../src/db/schema.ts";
import { putOperator } from "./operators.ts";
import { liveConnection, readableSecrets, rotate, statesOf } from "./rotations.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

const { signal } = new AbortController();
const HOUR_MS = 3_600_000;
const usable: readonly string[] = ["ACTIVE", "PENDING"];
const NO_ROWS_IN_USE: ReadonlySet<string> = new Set();
let dataDir: string;
let world: World | undefined;

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir);
  await putOperator(world, "acme", { staged: {}, stored: {}, activated: {}, committed: {} });
  await world.close();
});
afterEach(async () => world?.close());
afterAll(() => removeDataDir(dataDir));

async function crashAt(step: string, call: object, method = "set"): Promise<void> {
  const setter = spawn(
    process.execPath,
    [
      "--conditions=source",
      join(import.meta.dirname, "credential-setter.ts"),
      dataDir,
      step,
      method,
      JSON.stringify(call),
    ],
    { stdio: ["ignore", "inherit", "inherit"] },
  );
  const [, killedBy] = (await once(setter, "exit")) as [number | null, string | null];
  expect(killedBy).toBe("SIGKILL");
}

describe.each([
  { step: "staged", rowsLeft: ["STAGED"], secretWritten: false },
  { step: "stored", rowsLeft: ["STAGED"], secretWritten: true },
  { step: "activated", rowsLeft: ["STAGED"], secretWritten: true },
  { step: "committed", rowsLeft: ["ACTIVE"], secretWritten: true },
])("kill -9 of SetConnectionCredential once it is $step", ({ step, rowsLeft, secretWritten }) => {
  const name = { operatorId: "acme", connectionId: step };
  const call = { ...name, systemId: "acme01", password: `password-${step}`, requestId: randomUUID() };

  test("leaves no credential in use without its secret", async () => {
    await crashAt(step, call);
    world = await openWorld(dataDir);
    const rows = await world.database.db.select().from(credential).where(eq(credential.connectionId, step));
    expect(rows.map(({ state }) => state)).toEqual(rowsLeft);
    expect((await world.secrets.get(rows[0]!.path, signal)) !== undefined).toBe(secretWritten);
    const active = world.catalog.get("acme")!.operator.connections[step]?.credential?.active;
    expect(active?.id).toBe(rowsLeft.includes("ACTIVE") ? rows[0]!.id : undefined);
  });

  test("lets the same call be repeated with one credential in use", async () => {
    world = await openWorld(dataDir);
    const reply = await world.admin.setConnectionCredential(call);
    const active = await world.database.db
      .select()
      .from(credential)
      .where(and(eq(credential.connectionId, step), eq(credential.state, "ACTIVE")));
    expect(active.map(({ id }) => id)).toEqual([reply.credential?.id]);
    const read = await world.mesh.getConnectionCredential({
      ...name,
      credentialId: reply.credential!.id,
      minimumToken: reply.token,
    });
    expect(read.secret?.password).toBe(call.password);
  });

  test("leaves nothing that the sweep doesn't clean", async () => {
    world = await openWorld(dataDir);
    const now = (): Date => new Date(Date.now() + HOUR_MS + 1_000);
    const { database, secrets } = world;
    await sweepCredentials({ db: database.db, secrets, now, credentialsInUse: async () => NO_ROWS_IN_USE }, signal);
    const rows = await database.db.select().from(credential).where(eq(credential.connectionId, step));
    for (const row of rows) {
      expect(["ACTIVE", "ABANDONED"]).toContain(row.state);
      expect((await secrets.get(row.path, signal)) !== undefined).toBe(row.state === "ACTIVE");
    }
  });
});

describe.each([
  { method: "rotate", step: "staged", left: ["ACTIVE", "STAGED"], done: ["ACTIVE", "PENDING"] },
  { method: "rotate", step: "stored", left: ["ACTIVE", "STAGED"], done: ["ACTIVE", "PENDING"] },
  { method: "rotate", step: "activated", left: ["ACTIVE", "STAGED"], done: ["ACTIVE", "PENDING"] },
  { method: "rotate", step: "committed", left: ["ACTIVE", "PENDING"], done: ["ACTIVE", "PENDING"] },
  { method: "promote", step: "activated", left: ["ACTIVE", "PENDING"], done: ["SUPERSEDED", "ACTIVE"] },
  { method: "promote", step: "committed", left: ["SUPERSEDED", "ACTIVE"], done: ["SUPERSEDED", "ACTIVE"] },
  { method: "cancel", step: "activated", left: ["ACTIVE", "PENDING"], done: ["ACTIVE", "CANCELLED"] },
  { method: "cancel", step: "committed", left: ["ACTIVE", "CANCELLED"], done: ["ACTIVE", "CANCELLED"] },
])("kill -9 of a call to $method once it is $step", ({ method, step, left, done }) => {
  test("leaves every version in use readable, and the same call does what is left to do", async () => {
    world = await openWorld(dataDir);
    const live = await liveConnection(world);
    const name = { operatorId: live.operatorId, connectionId: live.connectionId, requestId: randomUUID() };
    const version = { systemId: "acme01", password: "pw-2", mode: RotationMode.REPLACE };
    const call = method === "rotate" ? { ...name, ...version } : { ...name, credentialId: await rotate(world, live) };
    await world.close();

    await crashAt(step, call, method);
    world = await openWorld(dataDir);
    expect(await statesOf(world, live)).toEqual(left);
    expect(await readableSecrets(world, live)).toHaveLength(left.filter((state) => usable.includes(state)).length);

    if (method === "rotate") await world.admin.rotateConnectionCredential(call);
    else if (method === "promote") await world.admin.promoteConnectionCredential(call);
    else await world.admin.cancelCredentialRotation(call);
    expect((await statesOf(world, live)).filter((state) => state !== "STAGED")).toEqual(done);
    expect(await readableSecrets(world, live)).toHaveLength(done.filter((state) => usable.includes(state)).length);
  });
});
