import { create, fromBinary } from "@bufbuild/protobuf";
import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Actor_Kind } from "@operator-management/contract/ops/v1/common_pb.js";
import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { ConfigChangeSchema } from "@operator-management/contract/ops/v1/event_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { BindErrorClass, BindErrorSchema } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import { desc } from "drizzle-orm";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { RotationDriver } from "../../src/credentials/rotation-driver.ts";
import { auditEvent, configChange } from "../../src/db/schema.ts";
import { changeConnection } from "./operators.ts";
import {
  bound,
  liveConnection,
  refused,
  report,
  revisionsOf,
  rotate,
  statesOf,
  type LiveConnection,
  untilStates,
  untilEnded,
} from "./rotations.ts";
import { newDataDir, openWorld, removeDataDir, type World } from "./world.ts";

const hoursAgo = (hours: number) => timestampFromDate(new Date(Date.now() - hours * 3_600_000));
let dataDir: string;
let world: World;

beforeAll(async () => {
  dataDir = await newDataDir();
  world = await openWorld(dataDir);
});
afterAll(async () => {
  await world.close();
  await removeDataDir(dataDir);
});

/** Resolves when the driver has done all that it was told before: evidence is taken in order. */
async function settled(): Promise<void> {
  const other = await liveConnection(world);
  await report(world, other, bound(await rotate(world, other)));
  await untilStates(world, other, ["SUPERSEDED", "ACTIVE"]);
}

const evidence = ({ operatorId, connectionId, uid: operatorUid }: LiveConnection, credentialId: string) => ({
  ...{ operatorId, operatorUid, connectionId, credentialId },
});

describe("a bind with the pending version", () => {
  test.each([
    { mode: RotationMode.BOTH_VALID },
    { mode: RotationMode.REPLACE },
    { mode: RotationMode.SWITCH_AT, switchTime: hoursAgo(0) },
  ])("promotes it, by the service itself, with mode $mode", async (init) => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, init);
    await report(world, live, bound(pending), { node: "smpp-3" });
    await untilStates(world, live, ["SUPERSEDED", "ACTIVE"]);
    const [latest] = await world.database.db.select().from(configChange).orderBy(desc(configChange.revision)).limit(1);
    expect(fromBinary(ConfigChangeSchema, latest!.record)).toMatchObject({
      actor: { kind: Actor_Kind.SYSTEM, principal: "credential-rotation" },
      reason: "a bind of node smpp-3 proved it",
    });
    const [audited] = await world.database.db.select().from(auditEvent).orderBy(desc(auditEvent.id)).limit(1);
    expect(audited).toMatchObject({ actorKind: "SYSTEM", target: `operators/${live.operatorId}/connections/main` });
  });

  test("counts only once it is bound, of this operator, from a connector, and in the node's present run", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    const binding = { ...bound(pending), state: BindState.BINDING }; // its status is still the earlier bind's
    await report(world, live, binding, { node: "smpp-9", epoch: 5n });
    await report(world, live, bound(pending), { node: "smpp-9", epoch: 4n });
    await report(world, { ...live, uid: "00000000-0000-4000-8000-000000000000" }, bound(pending));
    await report(world, live, bound(live.active));
    await settled();
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
  });
});

describe("a refusal of the pending version", () => {
  test("rejects it at once when both are valid, and nothing that comes later makes another revision", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    await report(world, live, refused(pending));
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
    const revisions = await revisionsOf(world, live);
    await report(world, live, refused(pending));
    await report(world, live, bound(pending));
    await settled();
    expect(await revisionsOf(world, live)).toBe(revisions);
  });

  test("is seen behind a bind that is bound with the other one again", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    await report(world, live, { ...bound(live.active), rejectedCredentialId: pending });
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
  });

  test("is what the vendor's own bind errors say it is", async () => {
    const live = await liveConnection(world);
    const bindErrors = [
      create(BindErrorSchema, { status: "ESME_RINVPASWD", errorClass: BindErrorClass.TEMPORARY }),
      create(BindErrorSchema, { status: "0x0D", errorClass: BindErrorClass.AUTH }),
    ];
    await changeConnection(world, live.operatorId, "main", { bindErrors });
    const pending = await rotate(world, live);
    await report(world, live, refused(pending));
    await settled();
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
    await report(world, live, { ...refused(pending), lastBindStatus: 0x0d });
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
  });

  test.each([
    { mode: RotationMode.REPLACE },
    { mode: RotationMode.SWITCH_AT, switchTime: hoursAgo(1) },
    { mode: RotationMode.SWITCH_AT, switchTime: hoursAgo(-1) },
  ])("is no verdict before the window is over, with mode $mode", async (init) => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, init);
    await report(world, live, refused(pending));
    await settled();
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
    await report(world, live, bound(pending)); // the vendor was late
    await untilStates(world, live, ["SUPERSEDED", "ACTIVE"]);
  });

  test("is the verdict after the window, without another report", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, { mode: RotationMode.REPLACE, window: { seconds: 2n } });
    await report(world, live, refused(pending));
    await settled();
    await untilStates(world, live, ["ACTIVE", "REJECTED"]);
    const late = await liveConnection(world);
    const over = await rotate(world, late, { mode: RotationMode.SWITCH_AT, switchTime: hoursAgo(3) });
    await report(world, late, refused(over));
    await untilStates(world, late, ["ACTIVE", "REJECTED"]);
  });

  test("that nobody repeats is forgotten before its window ends", async () => {
    const live = await liveConnection(world);
    const pending = await rotate(world, live, { mode: RotationMode.SWITCH_AT, switchTime: hoursAgo(1) });
    await report(world, live, refused(pending));
    world.forward(600_000); // silence; then the window ends
    await settled();
    world.forward(3_600_000);
    await settled();
    expect(await statesOf(world, live)).toEqual(["ACTIVE", "PENDING"]);
    world.forward(-4_200_000);
  });
});

test("two drivers at once make one revision", async () => {
  const { catalog, history, now } = world;
  const logLines: unknown[] = [];
  const log = (line: unknown): void => void logLines.push(line);
  const second = new RotationDriver({ catalog, history, now, logger: { info: log, warn: log } as never });
  for (const outcome of ["bound", "rejected"] as const) {
    const live = await liveConnection(world);
    const pending = await rotate(world, live);
    const before = await revisionsOf(world, live);
    for (const driver of [world.rotations, second]) driver.observe({ ...evidence(live, pending), outcome });
    await untilEnded(world, live);
    await settled();
    expect(await revisionsOf(world, live)).toBe(before + 1);
  }
  await second.close();
});

test("a failure loses nothing: what is still true is said again", async () => {
  const { catalog, now } = world;
  let failures = 1;
  const history: Pick<World["history"], "change"> = {
    change: (...args) =>
      failures-- > 0 ? Promise.reject(new Error("the database is away")) : world.history.change(...args),
  };
  const warnings: unknown[] = [];
  const logger = { info: () => undefined, warn: (_: object, text: string) => void warnings.push(text) } as never;
  const driver = new RotationDriver({ catalog, history, now, logger });
  const live = await liveConnection(world);
  const pending = await rotate(world, live);
  const proof = { ...evidence(live, pending), outcome: "bound" } as const;
  driver.observe(proof);
  await expect
    .poll(() => warnings, { timeout: 20_000 })
    .toEqual(["a rotation can't be ended for now; it is tried again"]);
  world.forward(6_000);
  driver.observe(proof);
  await untilStates(world, live, ["SUPERSEDED", "ACTIVE"]);
  await driver.close();
});
