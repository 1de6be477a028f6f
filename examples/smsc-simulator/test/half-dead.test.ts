import { expect, test } from "vitest";
import {
  behaving,
  boundClient,
  connectClient,
  connectRaw,
  message,
  runSmsc,
  sessionsOf,
  totalsOf,
  until,
} from "./harness.ts";

/** Whether a request has been answered. */
function watch(asked: Promise<unknown>): { readonly over: () => boolean } {
  let over = false;
  asked.then(
    () => (over = true),
    () => undefined,
  );
  return { over: () => over };
}

test("enquire_link may go unanswered while submits are answered", async () => {
  const { smsc, port } = await runSmsc(behaving({ mute: "enquire_link" }));
  const client = await boundClient(port);
  const enquire = watch(client.ask("enquire_link"));
  expect((await client.ask("submit_sm", message)).command_status).toBe(0);
  expect(enquire.over()).toBe(false);
  expect(smsc.state().totals).toMatchObject({ requestsIgnored: 1, enquireLinksAnswered: 0 });
});

test("submits may go unanswered, and unheard, while enquire_link is answered", async () => {
  const { smsc, port } = await runSmsc(behaving({ mute: "submit_sm" }));
  const client = await boundClient(port);
  const submit = watch(client.ask("submit_sm", message));
  expect((await client.ask("enquire_link")).command_status).toBe(0);
  expect(submit.over()).toBe(false);
  expect(totalsOf(smsc)).toMatchObject({ submits: { ignored: 1 }, messagesTaken: 0 });
});

test("a bound session goes silent: nothing is answered, nothing is sent, nothing is noticed, until it comes back", async () => {
  const timers = { enquireLink: 300, response: 5000, inactivity: 1000 };
  const { smsc, port } = await runSmsc({ ...behaving({ receipts: { always: true } }), timers });
  const client = await boundClient(port);
  await client.ask("submit_sm", message);
  await until(() => totalsOf(smsc).receipts.confirmed === 1);
  smsc.behave("acme01", { mute: "everything" });
  const heardBefore = client.heard.filter((command) => command !== "enquire_link").length;
  for (const command of ["enquire_link", "submit_sm", "unbind"])
    void client.ask(command, message).catch(() => undefined);
  await until(() => smsc.state().totals.requestsIgnored === 3);
  // A client that comes later and is silent is closed by then: so would this one be.
  smsc.setAccount("beta02", { password: "pw", maxBinds: 1 });
  const bystander = await connectClient(port, { mute: true });
  await bystander.bind("transceiver", { system_id: "beta02", password: "pw" });
  await bystander.closed;
  expect(sessionsOf(smsc)).toHaveLength(1);
  expect(client.heard.filter((command) => command !== "enquire_link")).toHaveLength(heardBefore);
  smsc.behave("acme01", { mute: "none" });
  expect((await client.ask("enquire_link")).command_status).toBe(0);
});

test("a mute account does not answer binds, and does not count them as logins", async () => {
  const { smsc, port } = await runSmsc({ ...behaving({ mute: "everything" }), timers: { sessionInit: 50 } });
  const client = await connectClient(port);
  const bind = watch(client.bind("transceiver", { password: "wrong" }));
  await until(() => smsc.state().totals.requestsIgnored === 1);
  // A connection that never binds is closed; this one, which came before it, is left hanging.
  await (
    await connectRaw(port)
  ).closed;
  expect(bind.over()).toBe(false);
  expect(client.heard).toEqual([]);
  expect(totalsOf(smsc)).toMatchObject({ failedLogins: 0, bindsRefused: {} });
});

test("sessions are reset hard", async () => {
  const { smsc, port } = await runSmsc();
  const raw = await connectRaw(port);
  const codes: unknown[] = [];
  raw.socket.on("error", (error) => codes.push("code" in error && error.code));
  const body = Buffer.from("acme01\0s3cr3t-acme\0\0\x34\0\0\0");
  const header = Buffer.alloc(16);
  [16 + body.length, 9, 0, 1].forEach((value, i) => header.writeUInt32BE(value, i * 4));
  raw.socket.write(Buffer.concat([header, body]));
  await until(() => sessionsOf(smsc).length === 1 && raw.reply().length > 0);
  expect(smsc.disconnect("acme01", { reset: true })).toBe(1);
  await raw.closed;
  expect(codes).toEqual(["ECONNRESET"]);
});
