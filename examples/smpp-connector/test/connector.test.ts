import { Credentials, NodeReporter, OperatorCatalog } from "@operator-management/client";
import { createMeshClient } from "@operator-management/client/node";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { BindRole, EndpointPolicy } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect, onTestFinished, test } from "vitest";
import type { Smsc } from "../../smsc-simulator/src/smsc.ts";
import { Connector } from "../src/connector.ts";
import { acme, connection, credentialId, runSmsc, sessionsOf, until } from "./harness.ts";
import { runMesh, type MeshService } from "./mesh.ts";

const wrongId = "8f14e45f-ceea-467f-a8c4-0000000000bb";
const rightId = "8f14e45f-ceea-467f-a8c4-0000000000cc";
const two = { binds: [{ role: BindRole.TRX, count: 2 }] };

/** A connector of this mesh service; `lines` is its story. */
async function runConnector(mesh: MeshService) {
  const lines: string[] = [];
  const client = createMeshClient({ baseUrl: mesh.url });
  const catalog = await OperatorCatalog.start({ client });
  const reporter = NodeReporter.start({ client, node: { name: "test-node" } });
  const connector = new Connector({
    catalog,
    credentials: new Credentials({ client, catalog }),
    reporter,
    labels: { egress: "ams-1" },
    tell: (who, text) => lines.push(`${who} ${text}`),
    random: () => 0.5,
  });
  const stop = async (): Promise<void> => {
    await connector.close();
    await reporter.close();
    await catalog.close();
  };
  onTestFinished(stop);
  return { lines, catalog, stop };
}

/** A simulator, a service that serves `init` as acme-de/main, and a connector, with `count` binds up. */
async function bound(count: number, init: Parameters<typeof connection>[0] = two, smsc?: Smsc) {
  const vendor = smsc ?? (await runSmsc({ ports: [0, 0] }));
  const [port = 0, otherPort = 0] = vendor.ports;
  const mesh = await runMesh({ [wrongId]: "s3cr3t-typo" });
  const main = (more: Parameters<typeof connection>[0] = {}) =>
    connection({ endpoints: { primary: { host: "127.0.0.1", port } }, ...init, ...more });
  mesh.publish({ main: main() });
  const running = await runConnector(mesh);
  await until(() => sessionsOf(vendor).length === count);
  return { smsc: vendor, port, otherPort, mesh, main, ...running };
}

const ids = (smsc: Smsc) => sessionsOf(smsc).map(({ sessionId }) => sessionId);
const latest = (mesh: MeshService) => mesh.reports.at(-1);
const bindsOf = (mesh: MeshService) => latest(mesh)?.connections.flatMap(({ binds }) => binds) ?? [];
const failedLogins = (smsc: Smsc) => smsc.state().totals.bindsRefused.ESME_RINVPASWD ?? 0;

test("it binds what is wanted and reports the binds and the position it applied", async () => {
  const { mesh, smsc, lines, port } = await bound(2);
  const token = mesh.publish({});
  await until(() => sessionsOf(smsc).length === 0 && latest(mesh)?.appliedToken === token);
  const reported = mesh.reports.find((report) => report.connections[0]?.binds.every((bind) => bind.boundSince));
  expect(reported?.connections).toMatchObject([
    {
      operatorId: "acme-de",
      connectionId: "main",
      binds: [
        {
          role: BindRole.TRX,
          index: 0,
          state: BindState.BOUND,
          endpointId: "primary",
          lastBindStatus: 0,
          credentialId,
        },
        { role: BindRole.TRX, index: 1, state: BindState.BOUND, peerAddress: `127.0.0.1:${port}` },
      ],
    },
  ]);
  expect(latest(mesh)?.connections).toEqual([]);
  expect(lines).toContain(`acme-de/main#1 TRX bound to 127.0.0.1:${port} as acme01`);
  expect(lines).toContain("acme-de/main#1 TRX unbound: the connection is gone");
});

test("a rate and a timer reach live sessions; nothing is bound again", async () => {
  const { mesh, smsc, main, lines } = await bound(2);
  const before = ids(smsc);
  const token = mesh.publish({
    main: main({ throughput: { maxSegmentsPerSecond: 80 }, timers: { unbind: { seconds: 2n } } }),
  });
  await until(() => latest(mesh)?.appliedToken === token);
  expect(ids(smsc)).toEqual(before);
  expect(lines).toContain("acme-de/main rate now 80/s, no re-bind");
  expect(smsc.state().totals.bindsAccepted).toBe(2);
});

test("another port is bound anew, one bind at a time", async () => {
  const { mesh, smsc, main, otherPort, lines } = await bound(2);
  mesh.publish({ main: main({ endpoints: { primary: { host: "127.0.0.1", port: otherPort } } }) });
  await until(() => sessionsOf(smsc).filter(({ port }) => port === otherPort).length === 2);
  const story = lines.filter((line) => /unbound|bound to|re-binding,/.test(line)).slice(2);
  expect(story).toEqual([
    expect.stringContaining("#1 TRX port changed (endpoints.primary.port): re-binding, one bind at a time"),
    expect.stringContaining("#1 TRX unbound"),
    expect.stringContaining("#1 TRX bound"),
    expect.stringContaining("#2 TRX port changed"),
    expect.stringContaining("#2 TRX unbound"),
    expect.stringContaining("#2 TRX bound"),
  ]);
});

test("a mistaken port costs one bind; the other stays until it is put right", async () => {
  const { mesh, smsc, main } = await bound(2);
  const closed = await runSmsc();
  const nobody = closed.ports[0] ?? 0;
  await closed.close();
  mesh.publish({ main: main({ endpoints: { primary: { host: "127.0.0.1", port: nobody } } }) });
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

test("the next endpoint takes over when the preferred one is not reachable", async () => {
  const [smsc, closed] = [await runSmsc(), await runSmsc()];
  await closed.close();
  const endpoints = {
    b: { host: "127.0.0.1", port: smsc.ports[0] ?? 0, priority: 20 },
    a: { host: "127.0.0.1", port: closed.ports[0] ?? 0, priority: 10 },
  };
  const { lines } = await bound(1, { endpoints }, smsc);
  expect(lines[0]).toContain(`${closed.ports[0]}: connection failed: ECONNREFUSED; trying 127.0.0.1:${smsc.ports[0]}`);
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

test("DRAINING and MAINTENANCE keep the binds, DISABLED ends them, a node_selector of others too", async () => {
  const { mesh, smsc, main, lines } = await bound(2);
  const before = ids(smsc);
  for (const effectiveState of [AdminState.DRAINING, AdminState.MAINTENANCE]) {
    const token = mesh.publish({ main: main({ effectiveState }) });
    await until(() => latest(mesh)?.appliedToken === token);
    expect(ids(smsc)).toEqual(before);
  }
  expect(lines).toContain("acme-de/main ENABLED → DRAINING, binds stay");
  mesh.publish({ main: main({ effectiveState: AdminState.DISABLED }) });
  await until(() => sessionsOf(smsc).length === 0);
  expect(smsc.state().totals.unbinds).toBe(2);
  mesh.publish({ main: main({ nodeSelector: { egress: "ams-1" } }) });
  await until(() => sessionsOf(smsc).length === 2);
  mesh.publish({ main: main({ nodeSelector: { egress: "lon-1" } }) });
  await until(() => sessionsOf(smsc).length === 0);
});

test("an operator created anew is bound anew", async () => {
  const { mesh, smsc, main } = await bound(2);
  const before = ids(smsc);
  mesh.publish({ main: main() }, "8f14e45f-ceea-467f-a8c4-000000000002");
  await until(() => sessionsOf(smsc).length === 2 && ids(smsc).every((id) => !before.includes(id)));
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

test("stopping unbinds everything and says goodbye", async () => {
  const { mesh, smsc, stop } = await bound(2);
  await stop();
  expect(sessionsOf(smsc)).toEqual([]);
  expect(smsc.state().totals.unbinds).toBe(2);
  expect(latest(mesh)).toMatchObject({ leaving: true, accepting: false });
});
