import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState } from "@operator-management/contract/ops/v1/health_pb.js";
import { expect, test } from "vitest";
import { credentialId, sessionsOf, until } from "./harness.ts";
import { bound, ids, latest } from "./running.ts";

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
  await until(() => lines.filter((line) => line.includes(`bound to 127.0.0.1:${otherPort}`)).length === 2);
  expect(sessionsOf(smsc).map(({ port }) => port)).toEqual([otherPort, otherPort]);
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

test("stopping unbinds everything and says goodbye", async () => {
  const { mesh, smsc, stop } = await bound(2);
  await stop();
  expect(sessionsOf(smsc)).toEqual([]);
  expect(smsc.state().totals.unbinds).toBe(2);
  expect(latest(mesh)).toMatchObject({ leaving: true, accepting: false });
});
