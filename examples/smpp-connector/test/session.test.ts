import { once } from "node:events";
import { createServer, type AddressInfo, type Socket } from "node:net";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { expect, onTestFinished, test } from "vitest";
import { BindFailedError } from "../src/bind-failed-error.ts";
import { openSession, type SessionOptions } from "../src/open-session.ts";
import { bindParameters, reconnectDelay, sessionTimers, type SessionTimers } from "../src/session-settings.ts";
import { acme, closedPort, connection, runSmsc, sessionsOf, until } from "./harness.ts";

const never = new AbortController().signal;

function options(port: number, overrides: Partial<SessionOptions> = {}, timers: Partial<SessionTimers> = {}) {
  return {
    host: "127.0.0.1",
    port,
    role: BindRole.TRX,
    systemId: acme.systemId,
    password: acme.password,
    parameters: bindParameters(connection()),
    timers: { ...sessionTimers(undefined), ...timers },
    ...overrides,
  };
}

async function open(port: number, overrides: Partial<SessionOptions> = {}, timers: Partial<SessionTimers> = {}) {
  const session = await openSession(options(port, overrides, timers), never);
  onTestFinished(() => session.close("the test is over"));
  return session;
}

/** A vendor who takes connections and answers only what `answer` returns for a request's command_id. */
async function mutedVendor(answer: (commandId: number, sequence: number) => Buffer | undefined): Promise<number> {
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    sockets.add(socket);
    socket.on("error", () => undefined);
    socket.on("data", (data) => {
      const reply = answer(data.readUInt32BE(4), data.readUInt32BE(12));
      if (reply) socket.write(reply);
    });
  }).listen(0, "127.0.0.1");
  onTestFinished(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

/** bind_transceiver_resp, ESME_ROK, with an empty system_id. */
function bindResponse(sequence: number): Buffer {
  const pdu = Buffer.alloc(17);
  [17, 0x80000009, 0, sequence].forEach((value, i) => pdu.writeUInt32BE(value, i * 4));
  return pdu;
}

test.for([
  [BindRole.TRX, "transceiver"],
  [BindRole.TX, "transmitter"],
  [BindRole.RX, "receiver"],
] as const)("role %s binds as a %s, and unbinds in order", async ([role, name]) => {
  const smsc = await runSmsc();
  const session = await open(smsc.ports[0] ?? 0, { role });
  expect(sessionsOf(smsc)).toMatchObject([{ role: name, systemId: acme.systemId, remote: session.localAddress }]);
  await session.unbind("enough");
  expect(await session.closed).toBe("enough");
  await until(() => sessionsOf(smsc).length === 0);
  expect(smsc.state().totals.unbinds).toBe(1);
});

test("system_type, where a vendor wants one, is sent", async () => {
  const smsc = await runSmsc({ accounts: [{ ...acme, systemType: "VMA" }] });
  const parameters = bindParameters(connection({ systemType: "VMA" }));
  await expect(open(smsc.ports[0] ?? 0)).rejects.toMatchObject({ status: 0x53 });
  await open(smsc.ports[0] ?? 0, { parameters });
  expect(sessionsOf(smsc)).toHaveLength(1);
});

test.for([
  ["a wrong password", { password: "s3cr3t-typo" }, 0x0e, "ESME_RINVPASWD 0x0E"],
  ["an unknown system_id", { systemId: "nobody" }, 0x0f, "ESME_RINVSYSID 0x0F"],
] as const)("%s is a refusal with its status, without the secret", async ([, overrides, status, words]) => {
  const smsc = await runSmsc();
  const error: unknown = await open(smsc.ports[0] ?? 0, overrides).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(BindFailedError);
  expect(error).toMatchObject({ status, message: `refused with ${words}` });
  expect(JSON.stringify(error) + String(error)).not.toContain("s3cr3t");
});

test("nobody listening is a failure without a status", async () => {
  await expect(open(closedPort)).rejects.toMatchObject({
    status: undefined,
    message: "connection failed: ECONNREFUSED",
  });
});

test("a vendor that takes the connection and says nothing costs timers.bind", async () => {
  const port = await mutedVendor(() => undefined);
  await expect(open(port, {}, { bind: 50 })).rejects.toThrow("no answer to bind_transceiver within 0.05 s");
});

test("an abort ends an attempt that the vendor never answers", async () => {
  const controller = new AbortController();
  const port = await mutedVendor(() => void controller.abort(new Error("changed")));
  await expect(openSession(options(port, {}, { unbind: 30 }), controller.signal)).rejects.toThrow("changed");
});

test("a bind that the vendor accepts after an abort is unbound: it must not keep a slot", async () => {
  const smsc = await runSmsc();
  const controller = new AbortController();
  // The microtask runs after the bind was sent and before its answer can come.
  const onConnected = () => queueMicrotask(() => controller.abort(new Error("changed")));
  await expect(openSession(options(smsc.ports[0] ?? 0, { onConnected }), controller.signal)).rejects.toThrow("changed");
  expect(smsc.state().totals).toMatchObject({ bindsAccepted: 1, unbinds: 1 });
});

test("unanswered enquire_links end the session after as many as configured", async () => {
  let enquiries = 0;
  const port = await mutedVendor((command, sequence) => {
    if (command === 0x15) enquiries++;
    return command === 0x09 ? bindResponse(sequence) : undefined;
  });
  const session = await open(port, {}, { enquireLink: 20, enquireLinkResponse: 20, missed: 2 });
  expect(await session.closed).toBe("2 enquire_links unanswered");
  expect(enquiries).toBe(2);
});

test("answered enquire_links keep the session, and a shorter timer takes effect without a new bind", async () => {
  const smsc = await runSmsc();
  const session = await open(smsc.ports[0] ?? 0);
  const [before] = sessionsOf(smsc);
  session.setTimers({ ...sessionTimers(undefined), enquireLink: 10 });
  await until(() => session.enquireLinks.answered >= 3);
  expect(session.enquireLinks.missed).toBe(0);
  expect(sessionsOf(smsc)).toEqual([before]);
});

test("a vendor that unbinds or hangs up ends the session, with the reason", async () => {
  const smsc = await runSmsc();
  const [one, two] = [await open(smsc.ports[0] ?? 0), await open(smsc.ports[0] ?? 0)];
  smsc.disconnect(acme.systemId);
  expect(await one.closed).toMatch(/the vendor closed the connection|connection failed: ECONNRESET/);
  expect(await two.closed).toMatch(/the vendor closed the connection|connection failed: ECONNRESET/);
  const three = await open(smsc.ports[0] ?? 0);
  await smsc.close();
  expect(await three.closed).toBe("the vendor unbound it");
});

test("an unbind that nobody answers closes after timers.unbind all the same", async () => {
  const port = await mutedVendor((command, sequence) => (command === 0x09 ? bindResponse(sequence) : undefined));
  const session = await open(port, {}, { unbind: 30 });
  await session.unbind("enough");
  expect(await session.closed).toBe("enough");
});

test("a submit_sm resolves with its status", async () => {
  const smsc = await runSmsc();
  const sender = await open(smsc.ports[0] ?? 0, { role: BindRole.TX });
  const receiver = await open(smsc.ports[0] ?? 0, { role: BindRole.RX });
  const answer = await sender.submit({ short_message: "hello" });
  expect(answer.status).toBe(0);
  expect(answer.messageId).not.toBe("");
  expect(await receiver.submit({ short_message: "hello" })).toMatchObject({ status: 4 });
});

test("delays double from the first to the longest, give or take the jitter", () => {
  const delays = { initial: 1_000, max: 60_000, jitterPercent: 20 };
  expect([1, 2, 3, 7, 1_000].map((failures) => reconnectDelay(failures, delays, 0.5))).toEqual([
    1_000, 2_000, 4_000, 60_000, 60_000,
  ]);
  expect([0, 1].map((random) => reconnectDelay(1, delays, random))).toEqual([800, 1_200]);
});
