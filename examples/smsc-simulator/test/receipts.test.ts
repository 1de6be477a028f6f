import { expect, test } from "vitest";
import type { Pdu } from "../src/smpp.ts";
import {
  behaving,
  boundClient,
  Clock,
  connectClient,
  message,
  runSmsc,
  totalsOf,
  until,
  type Client,
} from "./harness.ts";

const wanted = { ...message, registered_delivery: 1 };
const receiptsOf = (client: Client) => client.received.filter(({ command }) => command === "deliver_sm");
const textOf = (pdu: Pdu | undefined) => (pdu?.short_message as { message: string } | undefined)?.message;

test("a receipt is text as in SMPP appendix B, with the addresses exchanged and the dates in the vendor's time zone", async () => {
  const clock = new Clock();
  const receipts = { timeZone: "Asia/Kolkata" };
  const { smsc, port } = await runSmsc({ ...behaving({ receipts }), now: clock.now });
  const client = await boundClient(port);
  const { message_id } = await client.ask("submit_sm", wanted);
  await until(() => receiptsOf(client).length === 1);
  const [receipt] = receiptsOf(client);
  expect(receipt).toMatchObject({ source_addr: "385911234567", destination_addr: "acme", esm_class: 4 });
  expect(textOf(receipt)).toBe(
    `id:${message_id} sub:001 dlvrd:001 submit date:3001311730 done date:3001311730 stat:DELIVRD err:000 text:hello`,
  );
  expect(receipt?.receipted_message_id).toBeUndefined();
  await until(() => totalsOf(smsc).receipts.confirmed === 1);
  expect(totalsOf(smsc).receipts).toEqual({
    scheduled: 0,
    waiting: 0,
    unconfirmed: 0,
    sent: 1,
    confirmed: 1,
    refused: 0,
  });
  expect(smsc.message("acme01", message_id ?? "")).toMatchObject({ state: "DELIVRD", receipt: "confirmed" });
});

test("ids may be hexadecimal in submit_sm_resp and decimal in the receipt; the state may come as TLVs, or both ways", async () => {
  const states = { UNDELIV: 1 };
  const ids = { response: "hex", receipt: "decimal" } as const;
  const { smsc, port } = await runSmsc(behaving({ ids, receipts: { format: "tlv", states } }));
  const client = await boundClient(port);
  const { message_id = "" } = await client.ask("submit_sm", wanted);
  await until(() => receiptsOf(client).length === 1);
  const decimal = String(parseInt(message_id, 16));
  expect(decimal).not.toBe(message_id);
  expect(receiptsOf(client)[0]).toMatchObject({ receipted_message_id: decimal, message_state: 5 });
  expect(textOf(receiptsOf(client)[0])).not.toContain("stat:");

  smsc.behave("acme01", {
    receipts: { format: "both", dates: "seconds" },
    ids: { response: "decimal", receipt: "HEX" },
  });
  const second = await client.ask("submit_sm", wanted);
  await until(() => receiptsOf(client).length === 2);
  const hex = Number(second.message_id).toString(16).toUpperCase();
  expect(receiptsOf(client)[1]).toMatchObject({ receipted_message_id: hex, message_state: 5 });
  expect(textOf(receiptsOf(client)[1])).toMatch(new RegExp(`^id:${hex} .* done date:\\d{12} stat:UNDELIV err:001`));
});

test("receipts wait while no bind can receive, and go to the first one that can, on another session too", async () => {
  const { smsc, port } = await runSmsc(behaving({ receipts: {} }));
  const sender = await boundClient(port, "transmitter");
  await sender.ask("submit_sm", wanted);
  await sender.ask("submit_sm", wanted);
  await until(() => totalsOf(smsc).receipts.waiting === 2);
  const receiver = await boundClient(port, "receiver");
  await until(() => totalsOf(smsc).receipts.confirmed === 2);
  expect(receiptsOf(receiver)).toHaveLength(2);
  expect(receiptsOf(sender)).toEqual([]);
});

test("a receipt that was sent but not answered before the session ended comes again", async () => {
  const { smsc, port } = await runSmsc(behaving({ receipts: {} }));
  const mute = await connectClient(port, { mute: true });
  await mute.bind();
  await mute.ask("submit_sm", wanted);
  await until(() => receiptsOf(mute).length === 1);
  mute.hangUp();
  await until(() => totalsOf(smsc).receipts.waiting === 1);
  const next = await boundClient(port, "receiver");
  await until(() => receiptsOf(next).length === 1);
  await until(() => totalsOf(smsc).receipts.confirmed === 1);
  expect(totalsOf(smsc).receipts.sent).toBe(2);
});

test.for([
  ["same", [1, 1, 1, 1]],
  ["other", [2, 2, 2, 2]],
  ["any", [1, 2, 1, 2]],
] as const)("over %s session of two", async ([over, sessions]) => {
  const { smsc, port } = await runSmsc(behaving({ receipts: { over } }));
  const [sender] = [await boundClient(port), await boundClient(port)];
  for (let i = 0; i < 4; i++) await sender.ask("submit_sm", wanted);
  await until(() => totalsOf(smsc).receipts.confirmed === 4);
  expect(smsc.messages("acme01").map(({ receiptSessionId }) => receiptSessionId)).toEqual(sessions);
});

test("a receipt waits for its delay", async () => {
  const { smsc, port } = await runSmsc(behaving({ receipts: { delay: 3600 } }));
  const client = await boundClient(port);
  await client.ask("submit_sm", wanted);
  await client.ask("enquire_link");
  expect(totalsOf(smsc).receipts).toMatchObject({ scheduled: 1, sent: 0 });
  expect(smsc.messages("acme01")).toMatchObject([{ answered: true, receipt: "scheduled" }]);
});

test("a receipt never comes before the answer that names its message", async () => {
  const { port } = await runSmsc(behaving({ latency: { fixed: 0.05 }, receipts: { delay: 0, jitter: 0.001 } }));
  const client = await boundClient(port);
  await client.ask("submit_sm", wanted);
  await until(() => receiptsOf(client).length === 1);
  expect(client.heard.slice(1)).toEqual(["submit_sm_resp", "deliver_sm"]);
});

test("registered_delivery is honoured unless receipts are sent always; a state of none sends none", async () => {
  const { smsc, port } = await runSmsc(behaving({ receipts: {} }));
  const client = await boundClient(port);
  await client.ask("submit_sm", message);
  await client.ask("submit_sm", { ...message, registered_delivery: 2 });
  smsc.behave("acme01", { receipts: { states: { EXPIRED: 1 } } });
  await client.ask("submit_sm", { ...message, registered_delivery: 2 });
  smsc.behave("acme01", { receipts: { always: true } });
  await client.ask("submit_sm", message);
  smsc.behave("acme01", { receipts: { states: { EXPIRED: null, none: 1 } } });
  await client.ask("submit_sm", wanted);
  await until(() => totalsOf(smsc).receipts.confirmed === 2);
  expect(smsc.messages("acme01").map(({ state }) => state)).toEqual([
    undefined,
    undefined,
    "EXPIRED",
    "EXPIRED",
    undefined,
  ]);
});

test("a client that refuses a receipt does not get it again", async () => {
  const { smsc, port } = await runSmsc(behaving({ receipts: {} }));
  const client = await connectClient(port, { refuse: 0x64 });
  await client.bind();
  await client.ask("submit_sm", wanted);
  await until(() => totalsOf(smsc).receipts.refused === 1);
  expect(totalsOf(smsc).receipts).toMatchObject({ sent: 1, waiting: 0 });
});
