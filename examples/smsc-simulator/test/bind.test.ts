import { expect, test } from "vitest";
import { Status } from "../src/smpp.ts";
import { acme, connectClient, connectRaw, runSmsc, sessionsOf, until } from "./harness.ts";

test.for(["transmitter", "receiver", "transceiver"] as const)("a %s with the right password is bound", async (role) => {
  const { smsc, port, lines } = await runSmsc();
  const client = await connectClient(port);
  const response = await client.bind(role);
  expect(response).toMatchObject({
    command: `bind_${role}_resp`,
    command_status: Status.ESME_ROK,
    system_id: "smsc-simulator",
    sc_interface_version: 0x34,
  });
  expect(sessionsOf(smsc)).toMatchObject([{ role, port, systemId: "acme01" }]);
  expect(lines.join("\n")).toContain(`acme01: bound as ${role}`);
});

test.for([
  ["a wrong password", { password: "wrong" }, Status.ESME_RINVPASWD, "wrong password (ESME_RINVPASWD 0x0E)"],
  ["an empty password", { password: "" }, Status.ESME_RINVPASWD, "wrong password (ESME_RINVPASWD 0x0E)"],
  ["an unknown system_id", { system_id: "nobody" }, Status.ESME_RINVSYSID, "(ESME_RINVSYSID 0x0F)"],
  ["a system_id of Object.prototype", { system_id: "__proto__" }, Status.ESME_RINVSYSID, "(ESME_RINVSYSID 0x0F)"],
] as const)("%s is refused and the connection closed", async ([, fields, status, words]) => {
  const { smsc, port, lines } = await runSmsc();
  const client = await connectClient(port);
  expect((await client.bind("transceiver", fields)).command_status).toBe(status);
  await client.closed;
  expect(sessionsOf(smsc)).toEqual([]);
  expect(lines.join("\n")).toContain(words);
});

test("a system_type is checked when the account has one", async () => {
  const { port } = await runSmsc({ accounts: [{ ...acme, systemType: "cp" }] });
  const [wrong, right] = [await connectClient(port), await connectClient(port)];
  expect((await wrong.bind("receiver", { system_type: "VMA" })).command_status).toBe(Status.ESME_RINVSYSTYP);
  expect((await right.bind("receiver", { system_type: "cp" })).command_status).toBe(Status.ESME_ROK);
});

test("the third bind of two is refused, whatever its role and port, until one unbinds", async () => {
  const { smsc } = await runSmsc({ ports: [0, 0] });
  const [first = 0, second = 0] = smsc.ports;
  const one = await connectClient(first);
  await one.bind("transmitter");
  await (await connectClient(second)).bind("receiver");

  const refused = await connectClient(second);
  expect((await refused.bind()).command_status).toBe(Status.ESME_RALYBND);
  await refused.closed;

  expect((await one.ask("unbind")).command_status).toBe(Status.ESME_ROK);
  expect((await (await connectClient(first)).bind()).command_status).toBe(Status.ESME_ROK);
  expect(sessionsOf(smsc).map(({ role, port }) => [role, port])).toEqual([
    ["receiver", second],
    ["transceiver", first],
  ]);
  expect(smsc.state().totals).toMatchObject({ bindsAccepted: 3, bindsRefused: { ESME_RALYBND: 1 }, unbinds: 1 });
});

test("simultaneous binds never exceed the limit", async () => {
  const { smsc, port } = await runSmsc();
  const clients = await Promise.all(Array.from({ length: 10 }, () => connectClient(port)));
  const responses = await Promise.all(clients.map((client) => client.bind()));
  expect(responses.filter(({ command_status }) => command_status === Status.ESME_ROK)).toHaveLength(2);
  expect(sessionsOf(smsc)).toHaveLength(2);
});

test("one account's limit leaves the others alone", async () => {
  const other = { systemId: "beta02", password: "s3cr3t-beta", maxBinds: 1 };
  const { port } = await runSmsc({ accounts: [{ ...acme, maxBinds: 0 }, other] });
  expect((await (await connectClient(port)).bind()).command_status).toBe(Status.ESME_RALYBND);
  const login = { system_id: other.systemId, password: other.password };
  expect((await (await connectClient(port)).bind("transceiver", login)).command_status).toBe(Status.ESME_ROK);
});

test("a client that hangs up without unbind gives its bind back", async () => {
  const { smsc, port, lines } = await runSmsc();
  const client = await connectClient(port);
  await client.bind();
  client.hangUp();
  await until(() => sessionsOf(smsc).length === 0);
  expect(lines.at(-1)).toMatch(/acme01: closed .*(hung up|broke)/);
});

test("a second bind on a bound session is refused and the session stays", async () => {
  const { smsc, port } = await runSmsc();
  const client = await connectClient(port);
  await client.bind("receiver");
  expect((await client.bind("transmitter")).command_status).toBe(Status.ESME_RINVBNDSTS);
  expect((await client.ask("enquire_link")).command_status).toBe(Status.ESME_ROK);
  expect(sessionsOf(smsc)).toMatchObject([{ role: "receiver" }]);
});

test("a bind without its fields is refused", async () => {
  const { port } = await runSmsc();
  const raw = await connectRaw(port);
  raw.socket.write(Buffer.from("00000010000000090000000000000007", "hex"));
  await raw.closed;
  expect(raw.reply().toString("hex")).toBe("00000010800000090000000200000007");
});

test("neither passwords nor what may be one reach the log or the state", async () => {
  const { smsc, port, lines } = await runSmsc();
  const typed = ["s3cr3t-acme", "s3cr3t-typo", "s3cr3t-as-id"];
  await (await connectClient(port)).bind();
  await (await connectClient(port)).bind("transceiver", { password: "s3cr3t-typo" });
  await (await connectClient(port)).bind("transceiver", { system_id: "s3cr3t-as-id" });
  smsc.setAccount("acme01", { password: "s3cr3t-new" });
  expect(lines.length).toBeGreaterThan(3);
  for (const secret of [...typed, "s3cr3t-new"]) {
    expect(lines.join("\n") + JSON.stringify(smsc.state())).not.toContain(secret);
  }
});
