import { BindRole, EndpointPolicy } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect, test } from "vitest";
import { acme, closedPort, runSmsc, sessionsOf, until } from "./harness.ts";
import { bindsOf, bound, failedLogins, ids, latest, rightId, two, wrongId } from "./running.ts";

test("a mistaken port costs one bind; the other stays until it is put right", async () => {
  const { mesh, smsc, main } = await bound(2);
  mesh.publish({ main: main({ endpoints: { primary: { host: "127.0.0.1", port: closedPort } } }) });
  await until(() => bindsOf(mesh).some(({ state }) => state === BindState.FAILED));
  expect(sessionsOf(smsc)).toHaveLength(1);
  expect(bindsOf(mesh).find(({ state }) => state === BindState.FAILED)?.detail).toContain("ECONNREFUSED");
  mesh.publish({ main: main() });
  await until(() => sessionsOf(smsc).length === 2);
});

test("a wrong password is tried three times over all binds, then not again until there is a new credential", async () => {
  const smsc = await runSmsc({ ports: [0] });
  const reconnect = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };
  const wrong = { binds: [{ role: BindRole.TRX, count: 4 }], reconnect, credential: { active: { id: wrongId } } };
  const { mesh, main, lines } = await bound(0, wrong, smsc);
  await until(() => lines.filter((line) => line.includes("refused too often")).length === 3);
  await until(() => bindsOf(mesh).every(({ nextAttemptTime }) => nextAttemptTime !== undefined));
  expect(failedLogins(smsc)).toBe(3);
  expect(lines.filter((line) => line.includes("password refused"))).toEqual([
    expect.stringContaining("ESME_RINVPASWD 0x0E), 2 tries left"),
    expect.stringContaining("1 try left"),
    expect.stringContaining("no tries left"),
  ]);
  expect(bindsOf(mesh).find((bind) => bind.lastBindStatus === 0x0e)).toMatchObject({ credentialId: wrongId });

  mesh.publish({ main: main({ credential: { active: { id: rightId } } }) });
  await until(() => sessionsOf(smsc).length === 4);
  expect(failedLogins(smsc)).toBe(3);
  expect(lines.join("\n")).not.toMatch(/s3cr3t/);
});

test("a password that was changed at the vendor while all binds are lost is tried three times, not once per bind", async () => {
  const account = { ...acme, maxBinds: 12 };
  const smsc = await runSmsc({ ports: [0], accounts: [account] });
  const reconnect = { initial: { nanos: 1_000_000 }, max: { nanos: 1_000_000 } };
  const { mesh, lines } = await bound(12, { binds: [{ role: BindRole.TRX, count: 12 }], reconnect }, smsc);
  smsc.changePassword(acme.systemId, "an0ther", { mode: "REPLACE" });
  smsc.disconnect(acme.systemId);
  await until(() => lines.filter((line) => line.includes("refused too often")).length === 9);
  await until(() => bindsOf(mesh).every(({ nextAttemptTime }) => nextAttemptTime !== undefined));
  expect(failedLogins(smsc)).toBe(3);
});

test("the next endpoint takes over when the preferred one is not reachable", async () => {
  const smsc = await runSmsc();
  const endpoints = {
    b: { host: "127.0.0.1", port: smsc.ports[0] ?? 0, priority: 20 },
    a: { host: "127.0.0.1", port: closedPort, priority: 10 },
  };
  const { lines } = await bound(1, { endpoints }, smsc);
  expect(lines[0]).toContain(`${closedPort}: connection failed: ECONNREFUSED; trying 127.0.0.1:${smsc.ports[0]}`);
});

test.for([
  [EndpointPolicy.ORDERED, 2, [2, 0]],
  [EndpointPolicy.SPREAD, 2, [1, 1]],
  [EndpointPolicy.ONE_EACH, 4, [2, 2]],
] as const)("endpoint policy %i makes %i binds, spread %j", async ([endpointPolicy, count, spread]) => {
  const smsc = await runSmsc({ ports: [0, 0] });
  const [one = 0, other = 0] = smsc.ports;
  const endpoints = { a: { host: "127.0.0.1", port: one }, b: { host: "127.0.0.1", port: other } };
  await bound(count, { ...two, endpointPolicy, endpoints }, smsc);
  expect([one, other].map((port) => sessionsOf(smsc).filter((each) => each.port === port).length)).toEqual(spread);
});

test("a vendor without a free bind is no wrong password: the rest stays, and it is tried again", async () => {
  const smsc = await runSmsc({ accounts: [{ ...acme, maxBinds: 1 }] });
  const { mesh, lines } = await bound(1, two, smsc);
  await until(() => lines.some((line) => line.includes("the vendor has no free bind for us (ESME_RALYBND 0x05)")));
  smsc.setAccount(acme.systemId, { maxBinds: 2 });
  await until(() => sessionsOf(smsc).length === 2);
  await until(() => bindsOf(mesh).every(({ state }) => state === BindState.BOUND));
});

test("a configuration that it can't run is refused with its path, and what is bound stays", async () => {
  const { mesh, smsc, main, port } = await bound(2);
  const before = ids(smsc);
  const token = mesh.publish({
    main: main({ endpoints: { primary: { host: "127.0.0.1", port, tls: { mode: 2 } } } }),
  });
  await until(() => latest(mesh)?.rejected.length === 1);
  expect(latest(mesh)?.rejected).toMatchObject([
    {
      operatorId: "acme-de",
      connectionId: "main",
      token,
      error: "connections.main.endpoints.primary.tls.mode: this connector binds over plain TCP only",
    },
  ]);
  expect(ids(smsc)).toEqual(before);
  mesh.publish({ main: main() });
  await until(() => latest(mesh)?.rejected.length === 0);
  expect(ids(smsc)).toEqual(before);
});

test("binds outlive the service, and a change made after its return arrives on a resumed watch", async () => {
  const { mesh, smsc, main, catalog } = await bound(2);
  const before = ids(smsc);
  await mesh.goAway();
  await until(() => !catalog.status.connected);
  expect(ids(smsc)).toEqual(before);
  await mesh.comeBack();
  const token = mesh.publish({ main: main({ throughput: { maxSegmentsPerSecond: 5 } }) });
  await until(() => latest(mesh)?.appliedToken === token);
  expect(ids(smsc)).toEqual(before);
  expect(mesh.watches).toEqual([{ resumed: false }, { resumed: true }]);
});

test("a session that the vendor cuts is bound again, also without the service", async () => {
  const { mesh, smsc, lines, catalog } = await bound(2);
  await mesh.goAway();
  await until(() => !catalog.status.connected);
  smsc.disconnect(acme.systemId);
  await until(() => sessionsOf(smsc).length === 2 && smsc.state().totals.bindsAccepted === 4);
  expect(lines.filter((line) => line.includes("bind lost"))).toHaveLength(2);
});
