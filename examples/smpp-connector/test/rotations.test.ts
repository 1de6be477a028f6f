import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { CredentialState, RotationMode, RotationRebind } from "@operator-management/contract/ops/v1/credential_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect, test } from "vitest";
import { accountOf, acme, credentialId, runSmsc, sessionsOf, until } from "./harness.ts";
import { bindsOf, bound, failedLogins, ids, two } from "./running.ts";

const nextId = "8f14e45f-ceea-467f-a8c4-0000000000dd";
const passwords = { [nextId]: "n3xt-acme" };
const active = { id: credentialId, version: 1, systemId: acme.systemId };
const pending = { id: nextId, version: 2, systemId: acme.systemId, state: CredentialState.PENDING };
const reconnect = { initial: { seconds: 1n } };

/** A connector with two binds up and traffic, and its vendor. */
async function rotating() {
  const running = await bound(2, { ...two, reconnect, throughput: { maxSegmentsPerSecond: 50 } }, await runSmsc(), {
    passwords,
    traffic: true,
  });
  const boundWith = () =>
    bindsOf(running.mesh).map(({ state, credentialId: id }) => (state === BindState.BOUND ? id : ""));
  return { ...running, boundWith };
}

test("BOTH_VALID: one live session proves the new password; after the promotion the other follows; no message is lost", async () => {
  const { mesh, smsc, main, boundWith, lines, connector, stop } = await rotating();
  smsc.changePassword(acme.systemId, passwords[nextId] ?? "", { mode: "BOTH_VALID", oldUntil: Infinity });
  mesh.publish({ main: main({ credential: { active, pending, mode: RotationMode.BOTH_VALID } }) });
  await until(() => boundWith().includes(nextId));
  await until(() => boundWith().includes(credentialId));
  expect(boundWith().toSorted()).toEqual([credentialId, nextId]);

  mesh.publish({
    main: main({ credential: { active: { ...pending, state: CredentialState.ACTIVE }, rebindOthers: true } }),
  });
  await until(() => boundWith().every((id) => id === nextId));
  expect(failedLogins(smsc)).toBe(0);
  expect(accountOf(smsc)?.totals.bindsPeak).toBe(2);
  expect(lines.filter((line) => line.includes("credential changed: re-binding, one bind at a time"))).toHaveLength(2);

  const [link] = connector.links;
  await stop();
  expect(link?.outbox.outcome).toMatchObject({ unknown: 0, refused: 0 });
  expect(link?.outbox.outcome.taken).toBe(accountOf(smsc)?.totals.messagesTaken);
});

test("BOTH_VALID: a refused password costs one login; the old one goes on, and the report names the refused one", async () => {
  const { mesh, smsc, main, boundWith } = await rotating();
  mesh.publish({ main: main({ credential: { active, pending, mode: RotationMode.BOTH_VALID } }) });
  await until(() => failedLogins(smsc) === 1);
  await until(() => boundWith().every((id) => id === credentialId));
  await until(() => mesh.health.at(-1)?.binds.some((bind) => bind.rejectedCredentialId === nextId) === true);
  expect(mesh.health.at(-1)?.binds.filter(({ rejectedCredentialId: id }) => id === nextId)).toMatchObject([
    { state: BindState.BOUND, credentialId, lastBindStatus: 0 },
  ]);
  // A bind that is lost later doesn't try it again.
  smsc.disconnect(acme.systemId);
  await until(() => sessionsOf(smsc).length === 2);
  expect(failedLogins(smsc)).toBe(1);
});

test("REPLACE: live sessions stay, and the next bind takes the new password at once", async () => {
  const { mesh, smsc, main, boundWith } = await rotating();
  const before = ids(smsc);
  smsc.changePassword(acme.systemId, passwords[nextId] ?? "", { mode: "REPLACE" });
  const startTime = timestampFromMs(Date.now() - 1_000);
  const credential = { active, pending, mode: RotationMode.REPLACE, startTime };
  const token = mesh.publish({ main: main({ credential }) });
  await until(() => mesh.reports.at(-1)?.appliedToken === token);
  expect(ids(smsc)).toEqual(before);
  smsc.disconnect(acme.systemId);
  await until(() => boundWith().every((id) => id === nextId) && sessionsOf(smsc).length === 2);
  expect(failedLogins(smsc)).toBe(0);
});

test("SWITCH_AT: before the time the old password, after it the new one first, and the old one at once for a late vendor", async () => {
  const { mesh, smsc, main, boundWith } = await rotating();
  const around = (ms: number) => ({
    active,
    pending,
    mode: RotationMode.SWITCH_AT,
    switchTime: timestampFromMs(Date.now() + ms),
  });
  mesh.publish({ main: main({ credential: around(600_000) }) });
  smsc.disconnect(acme.systemId);
  await until(() => sessionsOf(smsc).length === 2);
  expect(failedLogins(smsc)).toBe(0);

  const token = mesh.publish({ main: main({ credential: around(-1_000) }) });
  await until(() => mesh.reports.at(-1)?.appliedToken === token);
  smsc.disconnect(acme.systemId);
  await until(() => failedLogins(smsc) === 1);
  await until(() => boundWith().every((id) => id === credentialId) && sessionsOf(smsc).length === 2);
  expect(failedLogins(smsc)).toBe(1);
});

test("SWITCH_AT with AT_SWITCH: at the time a live session proves the new password, without any other change", async () => {
  const { mesh, smsc, main, boundWith } = await rotating();
  const time = Date.now() + 3_000;
  smsc.changePassword(acme.systemId, passwords[nextId] ?? "", { mode: "SWITCH_AT", time });
  const credential = {
    active,
    pending,
    mode: RotationMode.SWITCH_AT,
    switchTime: timestampFromMs(time),
    rebind: RotationRebind.AT_SWITCH,
  };
  mesh.publish({ main: main({ credential }) });
  await until(() => boundWith().includes(nextId));
  expect(Date.now()).toBeGreaterThanOrEqual(time);
  await until(() => boundWith().includes(credentialId));
  expect(failedLogins(smsc)).toBe(0);
});

test("a session isn't given up for a password that can't be fetched", async () => {
  const { mesh, smsc, main } = await rotating();
  const before = ids(smsc);
  mesh.withhold(nextId);
  const token = mesh.publish({ main: main({ credential: { active, pending, mode: RotationMode.BOTH_VALID } }) });
  await until(() => mesh.reports.at(-1)?.appliedToken === token && mesh.refusals() > 0);
  expect(ids(smsc)).toEqual(before);
});
