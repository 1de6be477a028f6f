import { create } from "@bufbuild/protobuf";
import { SetConnectionCredentialRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { eq } from "drizzle-orm";
import { SecretStoreUnavailableError } from "../../src/backends/secrets/secret-store.ts";
import { CredentialSweep, sweepCredentials, type SweepResult } from "../../src/credentials/sweep.ts";
import { setCredential } from "../../src/credentials/set-credential.ts";
import { credential } from "../../src/db/schema.ts";
import { putOperator } from "./operators.ts";
import { liveConnection, named, readableSecrets, rotate, statesOf, untilStates } from "./rotations.ts";
import { ann, newDataDir, openWorld, removeDataDir, withMethods, type World } from "./world.ts";

const { signal } = new AbortController();
const MINUTE_MS = 60_000;
const HOUR_MS = 60 * MINUTE_MS;
const DAY_MS = 24 * HOUR_MS;
let dataDir: string;
let world: World;
let inUse: string[] = [];

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir);
  await putOperator(world, "acme", { main: {} });
});
afterAll(async () => {
  await world.close();
  await removeDataDir(dataDir);
});
beforeEach(async () => {
  inUse = [];
  world.forward(Date.now() - world.now().getTime()); // back to the real time
  await world.database.db.delete(credential);
});

const deps = (secrets = world.secrets) => ({
  db: world.database.db,
  secrets,
  now: () => world.now(),
  credentialsInUse: async () => new Set(inUse),
});
const sweep = (secrets = world.secrets): Promise<SweepResult> => sweepCredentials(deps(secrets), signal);
const NOTHING: SweepResult = { abandoned: 0, deleted: 0, destroyed: 0 };

/** A version that a call staged, with its secret, and never finished. */
async function stageOne(): Promise<{ id: string; path: string }> {
  const failing = { change: () => Promise.reject(new Error("the process ends here")) };
  const call = { caller: ann, method: "SetConnectionCredential", reason: "", requestId: "", validateOnly: false };
  const request = create(SetConnectionCredentialRequestSchema, { operatorId: "acme", connectionId: "main" });
  const { database, secrets, now } = world;
  await expect(
    setCredential({ db: database.db, secrets, now, history: failing }, request, { ...call, message: request }),
  ).rejects.toThrow("the process ends here");
  const [row] = await database.db.select().from(credential);
  return row!;
}

const stateOf = async (id: string) =>
  (await world.database.db.select().from(credential).where(eq(credential.id, id)))[0]?.state;

test("a staged version is left alone for an hour, then abandoned and its secret deleted, and destroyed 30 days later", async () => {
  const { id, path } = await stageOne();
  world.forward(59 * MINUTE_MS);
  expect(await sweep()).toEqual(NOTHING);
  expect(await stateOf(id)).toBe("STAGED");

  world.forward(2 * MINUTE_MS);
  expect(await sweep()).toEqual({ abandoned: 1, deleted: 1, destroyed: 0 });
  expect(await stateOf(id)).toBe("ABANDONED");
  expect(await world.secrets.get(path, signal)).toBeUndefined();
  expect(await sweep()).toEqual(NOTHING);

  world.forward(29 * DAY_MS);
  await world.secrets.undelete(path, signal);
  expect(await world.secrets.get(path, signal)).toBeDefined(); // recoverable until then
  await world.secrets.delete(path, signal);
  world.forward(2 * DAY_MS);
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 0, destroyed: 1 });
  await world.secrets.undelete(path, signal);
  expect(await world.secrets.get(path, signal)).toBeUndefined();
  expect(await sweep()).toEqual(NOTHING);
});

test("a superseded version keeps its secret for seven days, and the active one for ever", async () => {
  const name = { operatorId: "acme", connectionId: "main", systemId: "acme01" };
  for (const password of ["one", "two"]) await world.admin.setConnectionCredential({ ...name, password });
  const [active, superseded] = (await world.database.db.select().from(credential)).sort(
    (a, b) => b.version - a.version,
  );
  world.forward(6 * DAY_MS);
  expect(await sweep()).toEqual(NOTHING);
  world.forward(2 * DAY_MS);
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 1, destroyed: 0 });
  world.forward(31 * DAY_MS);
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 0, destroyed: 1 });
  expect(await world.secrets.get(superseded!.path, signal)).toBeUndefined();
  expect((await world.secrets.get(active!.path, signal))?.password).toBe("two");
});

test("a cancelled, a refused and a superseded version keep their secrets for seven days, the pending and the active one for ever", async () => {
  const live = await liveConnection(world);
  const refusedId = await rotate(world, live);
  world.rotations.observe({ ...named(live, refusedId), operatorUid: live.uid, outcome: "rejected" });
  await untilStates(world, live, ["ACTIVE", "REJECTED"]);
  const cancelled = await rotate(world, live, { password: "pw-3" });
  await world.admin.cancelCredentialRotation(named(live, cancelled));
  const promoted = await rotate(world, live, { password: "pw-4" });
  await world.admin.promoteConnectionCredential(named(live, promoted));
  await rotate(world, live, { credentialId: cancelled });
  expect(await statesOf(world, live)).toEqual(["SUPERSEDED", "REJECTED", "CANCELLED", "ACTIVE", "PENDING"]);
  world.forward(6 * DAY_MS);
  expect(await sweep()).toEqual(NOTHING);
  world.forward(2 * DAY_MS);
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 3, destroyed: 0 });
  world.forward(31 * DAY_MS);
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 0, destroyed: 3 });
  expect(await readableSecrets(world, live)).toEqual(["pw-4", "pw-3"]);
});

test("a secret that a live node has bound with is neither deleted nor destroyed", async () => {
  const { id, path } = await stageOne();
  await world.database.db.update(credential).set({ state: "SUPERSEDED" });
  inUse = [id];
  world.forward(8 * DAY_MS);
  expect(await sweep()).toEqual(NOTHING);
  inUse = [];
  expect((await sweep()).deleted).toBe(1);
  inUse = [id];
  world.forward(31 * DAY_MS);
  expect(await sweep()).toEqual(NOTHING);
  await world.secrets.undelete(path, signal);
  expect(await world.secrets.get(path, signal)).toBeDefined();
});

test("while nobody can tell what is in use, nothing is deleted", async () => {
  const { id, path } = await stageOne();
  await world.database.db.update(credential).set({ state: "SUPERSEDED" });
  world.forward(8 * DAY_MS);
  const unknown = { ...deps(), credentialsInUse: () => Promise.reject(new Error("no reports of nodes")) };
  await expect(sweepCredentials(unknown, signal)).rejects.toThrow("no reports of nodes");
  expect(await world.secrets.get(path, signal)).toBeDefined();
  expect(await stateOf(id)).toBe("SUPERSEDED");
});

test("a sweep that the secret store refused is completed by a later one", async () => {
  const { id, path } = await stageOne();
  world.forward(2 * HOUR_MS);
  const down = withMethods(world.secrets, {
    delete: (path) => Promise.reject(new SecretStoreUnavailableError("delete", path)),
  });
  await expect(sweep(down)).rejects.toThrow(SecretStoreUnavailableError);
  expect(await stateOf(id)).toBe("ABANDONED");
  expect(await world.secrets.get(path, signal)).toBeDefined();
  expect(await sweep()).toEqual({ abandoned: 0, deleted: 1, destroyed: 0 });
  expect(await world.secrets.get(path, signal)).toBeUndefined();
});

test("a version that was given up can't become active any more", async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  let reached = (): void => undefined;
  const storing = new Promise<void>((resolve) => (reached = resolve));
  await world.close();
  world = await openWorld(dataDir, {
    secrets: (real) =>
      withMethods(real, {
        put: async (...args) => {
          reached();
          await held;
          await real.put(...args);
        },
      }),
  });
  const name = { operatorId: "acme", connectionId: "main", systemId: "late" };
  const before = world.catalog.get("acme")!.operator.connections["main"]?.credential?.active?.id;
  const late = world.admin.setConnectionCredential({ ...name, password: "late" });
  const outcome = expect(late).rejects.toThrow(/took too long/);
  await storing;
  world.forward(2 * HOUR_MS);
  expect((await sweep()).abandoned).toBe(1);
  release();
  await outcome;
  expect(world.catalog.get("acme")!.operator.connections["main"]?.credential?.active?.id).toBe(before);
  expect((await world.database.db.select().from(credential)).map(({ state }) => state)).toEqual(["ABANDONED"]);
});

test("the sweep runs by itself, goes on after a failure, and stops when closed", async () => {
  const { id } = await stageOne();
  world.forward(2 * HOUR_MS);
  let failures = 1;
  const flaky = withMethods(world.secrets, {
    delete: (path, ...rest) =>
      failures-- > 0
        ? Promise.reject(new SecretStoreUnavailableError("delete", path))
        : world.secrets.delete(path, ...rest),
  });
  const logged: string[] = [];
  const log = (_details: unknown, text?: string): void => void logged.push(text ?? "");
  const done = Promise.withResolvers<void>();
  const logger = { warn: log, info: (details: unknown, text?: string) => (log(details, text), done.resolve()) };
  const running = new CredentialSweep({ ...deps(flaky), logger: logger as never, intervalMs: 5 });
  await done.promise;
  await running.close();
  expect(logged).toEqual(["the sweep of credentials failed", "credentials that nobody may use: secrets removed"]);
  expect(await stateOf(id)).toBe("ABANDONED");
});
