import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { startControl } from "../src/control.ts";
import { Status } from "../src/smpp.ts";
import { acme, connectClient, runSmsc, sessionsOf } from "./harness.ts";

async function run() {
  const running = await runSmsc();
  const control = await startControl(running.smsc, 0);
  onTestFinished(() => control.close());
  const call = async (method: string, path: string, body?: string) => {
    const init = body === undefined ? { method } : { method, body };
    const response = await fetch(`http://127.0.0.1:${control.port}${path}`, init);
    return { status: response.status, text: await response.text() };
  };
  return { ...running, control, call };
}

test("GET /state shows who is bound, without passwords", async () => {
  const { port, call } = await run();
  await (await connectClient(port)).bind("receiver");
  const { status, text } = await call("GET", "/state");
  expect(status).toBe(200);
  expect(JSON.parse(text)).toMatchObject({
    ports: [port],
    accounts: [{ systemId: "acme01", maxBinds: 2, sessions: [{ role: "receiver", port, sessionId: 1 }] }],
    totals: { bindsAccepted: 1, bindsRefused: {} },
  });
  expect(text).not.toContain(acme.password);
});

test("a changed password counts from the next bind on", async () => {
  const { smsc, port, call } = await run();
  await (await connectClient(port)).bind();
  const changed = await call("PUT", "/accounts/acme01", '{"password": "s3cr3t-new"}');
  expect(changed.status).toBe(200);
  expect(changed.text).not.toContain("s3cr3t");
  expect(sessionsOf(smsc)).toHaveLength(1);
  expect((await (await connectClient(port)).bind()).command_status).toBe(Status.ESME_RINVPASWD);
  const response = await (await connectClient(port)).bind("transceiver", { password: "s3cr3t-new" });
  expect(response.command_status).toBe(Status.ESME_ROK);
});

test("a lowered limit keeps the sessions that are bound and refuses new ones", async () => {
  const { smsc, port, call } = await run();
  await (await connectClient(port)).bind();
  await (await connectClient(port)).bind();
  expect((await call("PUT", "/accounts/acme01", '{"maxBinds": 1}')).status).toBe(200);
  expect(sessionsOf(smsc)).toHaveLength(2);
  expect((await (await connectClient(port)).bind()).command_status).toBe(Status.ESME_RALYBND);
});

test("an account can be added and then bound", async () => {
  const { port, call } = await run();
  expect((await call("PUT", "/accounts/new%2001", '{"password": "pw", "maxBinds": 1}')).status).toBe(201);
  const response = await (await connectClient(port)).bind("transceiver", { system_id: "new 01", password: "pw" });
  expect(response.command_status).toBe(Status.ESME_ROK);
});

test("disconnect drops the account's sessions", async () => {
  const { smsc, port, call, lines } = await run();
  const clients = [await connectClient(port), await connectClient(port)];
  for (const client of clients) await client.bind();
  expect(await call("POST", "/accounts/acme01/disconnect")).toMatchObject({
    status: 200,
    text: '{\n  "dropped": 2\n}\n',
  });
  await Promise.all(clients.map((client) => client.closed));
  expect(clients.flatMap((client) => client.received)).toEqual([]);
  expect(sessionsOf(smsc)).toEqual([]);
  expect(lines.at(-1)).toContain("dropped on request");
});

test.for([
  ["an unknown path", "GET", "/", undefined, 404],
  ["a wrong method", "DELETE", "/state", undefined, 405],
  ["an unknown account to disconnect", "POST", "/accounts/nobody/disconnect", undefined, 404],
  ["a new account without a password", "PUT", "/accounts/nobody", '{"maxBinds": 1}', 400],
  ["a password that is a number", "PUT", "/accounts/acme01", '{"password": 73577357}', 400],
  ["a password in an unknown field", "PUT", "/accounts/acme01", '{"pass": "73577357"}', 400],
  ["a password in maxBinds", "PUT", "/accounts/acme01", '{"maxBinds": "73577357"}', 400],
  ["__proto__", "PUT", "/accounts/acme01", '{"__proto__": {"maxBinds": 73577357}}', 400],
  ["another systemId in the body", "PUT", "/accounts/acme01", '{"systemId": "73577357"}', 400],
  ["no object", "PUT", "/accounts/acme01", '["73577357"]', 400],
  ["no JSON", "PUT", "/accounts/acme01", "73577357 {", 400],
  ["broken percent-encoding", "PUT", "/accounts/%E0%A4", "{}", 400],
  ["too long a body", "PUT", "/accounts/acme01", "7".repeat(20_000), 413],
] as const)("%s is refused, changes nothing and is not quoted", async ([, method, path, body, status]) => {
  const { smsc, call, lines } = await run();
  const before = smsc.state().accounts;
  const refused = await call(method, path, body);
  expect(refused.status).toBe(status);
  expect(JSON.parse(refused.text)).toEqual({ error: expect.any(String) as string });
  expect(refused.text + lines.join("\n")).not.toContain("73577357");
  expect(smsc.state().accounts).toEqual(before);
});

test.for([
  { origin: "http://attacker.example" },
  { host: "attacker.example" },
  { host: "127.0.0.1.attacker.example:80" },
])("a web page is refused: %o", async (headers) => {
  const { control } = await run();
  const status = await new Promise((resolve, reject) => {
    const options = { host: "127.0.0.1", port: control.port, path: "/accounts/acme01/disconnect", method: "POST" };
    request({ ...options, headers }, (response) => resolve(response.resume().statusCode))
      .on("error", reject)
      .end();
  });
  expect(status).toBe(403);
});
