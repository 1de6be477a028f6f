import { request } from "node:http";
import { expect, onTestFinished, test } from "vitest";
import { startControl } from "../src/control.ts";
import { Status } from "../src/smpp.ts";
import { acme, boundClient, connectClient, message, runSmsc, sessionsOf, tryBind } from "./harness.ts";

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

test("actions change behaviour, password and sockets, one or several in a request", async () => {
  const { smsc, port, call } = await run();
  const client = await boundClient(port);
  const actions = [
    { do: "behave", account: "acme01", set: { throttle: { perSecond: 0 }, receipts: { always: true } } },
    { do: "password", account: "acme01", password: "s3cr3t-new", mode: "BOTH_VALID", oldUntil: "2999-01-01T00:00:00Z" },
    { do: "disconnect", account: "acme01" },
  ];
  const done = await call("POST", "/actions", JSON.stringify(actions));
  expect({ ...done, text: JSON.parse(done.text) as unknown }).toEqual({ status: 200, text: [{}, {}, { dropped: 1 }] });
  await client.closed;
  expect(smsc.state().accounts[0]?.behaviour).toEqual({ throttle: { perSecond: 0 }, receipts: { always: true } });
  expect([await tryBind(port), await tryBind(port, "s3cr3t-new")]).toEqual([0, 0]);
  const one = await call("POST", "/actions", '{"do": "normal", "account": "acme01"}');
  expect(one).toEqual({ status: 200, text: "{}\n" });
  expect(smsc.state().accounts[0]?.behaviour).toEqual({});
});

test("a list with one wrong action does none of them", async () => {
  const { smsc, call } = await run();
  const actions = [{ do: "behave", account: "acme01", set: { mute: "everything" } }, { do: "explode" }];
  const { status, text } = await call("POST", "/actions", JSON.stringify(actions));
  expect(status).toBe(400);
  expect(text).toContain("action 2: do must be one of");
  expect(smsc.state().accounts[0]?.behaviour).toEqual({});
});

test("a script is played, and GET /state tells how far it is", async () => {
  const { call } = await run();
  const script = { steps: [{ at: 0, do: "behave", account: "acme01", set: { mute: "submit_sm" } }] };
  expect((await call("POST", "/script", JSON.stringify(script))).status).toBe(202);
  await expect
    .poll(async () => JSON.parse((await call("GET", "/state")).text) as unknown)
    .toMatchObject({ script: { done: 1, steps: 1, failures: [] }, accounts: [{ behaviour: { mute: "submit_sm" } }] });
});

test("messages can be read by account and by id, and an account with its totals", async () => {
  const { port, call } = await run();
  const client = await boundClient(port);
  const ids: string[] = [];
  for (const text of ["one", "two", "three"]) {
    ids.push((await client.ask("submit_sm", { ...message, short_message: text })).message_id ?? "");
  }
  const read = async (path: string) => JSON.parse((await call("GET", path)).text) as unknown;
  const all = (await read("/accounts/acme01/messages")) as { messages: { id: string; text: string; number: number }[] };
  expect(all.messages.map(({ id }) => id)).toEqual(ids);
  expect(await read(`/accounts/acme01/messages?after=${all.messages[0]?.number}&limit=1`)).toMatchObject({
    messages: [{ text: "two" }],
  });
  expect(await read(`/accounts/acme01/messages/${ids[2]}`)).toMatchObject({ text: "three", answered: true });
  expect(await read("/accounts/acme01")).toMatchObject({
    sessions: [{ role: "transceiver" }],
    totals: { bindsPeak: 1, submits: { ESME_ROK: 3 }, messagesTaken: 3 },
  });
});

test.for([
  ["an unknown path", "GET", "/", undefined, 404],
  ["a strange path", "GET", "//x", undefined, 404],
  ["an unknown account", "GET", "/accounts/nobody", undefined, 404],
  ["messages of an unknown account", "GET", "/accounts/nobody/messages", undefined, 404],
  ["an unknown message", "GET", "/accounts/acme01/messages/73577357", undefined, 404],
  ["a page that is no number", "GET", "/accounts/acme01/messages?after=x", undefined, 400],
  ["an unknown action", "POST", "/actions", '{"do": "73577357"}', 400],
  ["an action on an unknown account", "POST", "/actions", '{"do": "unlock", "account": "73577357"}', 404],
  ["an action on an unknown port", "POST", "/actions", '{"do": "port", "port": 1, "mode": "silent"}', 400],
  ["a script without steps", "POST", "/script", '{"step": "73577357"}', 400],
  ["an unknown behaviour", "PUT", "/accounts/acme01", '{"behaviour": {"mute": "73577357"}}', 400],
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

test("the action disconnect drops the sessions of one role, where it is named", async () => {
  const { smsc, port, call } = await run();
  await (await connectClient(port)).bind("transmitter");
  const receiver = await connectClient(port);
  await receiver.bind("receiver");
  const action = { do: "disconnect", account: "acme01", role: "receiver" };
  expect((await call("POST", "/actions", JSON.stringify(action))).status).toBe(200);
  await receiver.closed;
  expect(sessionsOf(smsc)).toMatchObject([{ role: "transmitter" }]);
});
