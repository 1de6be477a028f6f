import { randomBytes } from "node:crypto";
import { expect, test } from "vitest";
import { FrameReader, FramingError } from "../src/frames.ts";
import { Status } from "../src/smpp.ts";
import { acme, connectClient, connectRaw, runSmsc } from "./harness.ts";

const enquireLink = "00000010000000150000000000000009";
const nackOfBadLength = "0000001080000000000000020000000";

test.for([
  ["HTTP", Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"), `${nackOfBadLength}0`],
  ["length 0", Buffer.alloc(16), `${nackOfBadLength}0`],
  ["length 4", Buffer.from("00000004", "hex"), `${nackOfBadLength}0`],
  ["length 15", Buffer.from("0000000f0000001500000000000000", "hex"), `${nackOfBadLength}0`],
  ["length 2 GiB", Buffer.from("7fffffff0000000900000000", "hex"), `${nackOfBadLength}0`],
  ["length one above the limit", Buffer.from("00004001", "hex"), `${nackOfBadLength}0`],
  ["a TLV longer than its PDU", Buffer.from("000000140000001500000000000000050210ffff", "hex"), `${nackOfBadLength}5`],
] as const)("%s closes the connection and nothing else", async ([, bytes, reply]) => {
  const { smsc, port, lines } = await runSmsc();
  const [bystander, raw] = [await connectClient(port), await connectRaw(port)];
  await bystander.bind();
  raw.socket.write(bytes);
  await raw.closed;
  expect(raw.reply().toString("hex")).toBe(reply);
  expect(lines.at(-1)).toContain("bytes that are not SMPP");
  expect((await bystander.ask("enquire_link")).command_status).toBe(Status.ESME_ROK);
  expect(smsc.state().totals.closes).toBe(1);
});

test("a bound session that sends a submit_sm cut short has it refused; one that sends garbage loses its bind", async () => {
  const { smsc, port } = await runSmsc({ accounts: [{ ...acme, maxBinds: 1 }] });
  const raw = await connectRaw(port);
  const body = Buffer.from(`${acme.systemId}\0${acme.password}\0\0\x34\0\0\0`);
  const header = Buffer.alloc(16);
  [16 + body.length, 9, 0, 1].forEach((value, i) => header.writeUInt32BE(value, i * 4));
  const cutShort = Buffer.from("0000001100000004000000000000000500", "hex");
  raw.socket.write(Buffer.concat([header, body, cutShort, Buffer.from("garbage garbage")]));
  await raw.closed;
  expect(smsc.state().totals).toMatchObject({ bindsAccepted: 1, messagesReceived: 0, messagesRefused: 1, closes: 1 });
  expect((await (await connectClient(port)).bind()).command_status).toBe(Status.ESME_ROK);
});

test("an unknown command gets generic_nack, a known one without a meaning here too, and the connection stays", async () => {
  const { port } = await runSmsc();
  const raw = await connectRaw(port);
  raw.socket.write(Buffer.from("0000001000000777000000000000000a" + "0000001000000102000000000000000b", "hex"));
  raw.socket.end(Buffer.from(enquireLink, "hex"));
  await raw.closed;
  expect(raw.reply().toString("hex")).toBe(
    "0000001080000000000000030000000a" + "0000001080000000000000030000000b" + "00000010800000150000000000000009",
  );
});

test("random bytes never take the simulator down", async () => {
  const { port } = await runSmsc({ timers: { sessionInit: 100 } });
  const commands = [1, 2, 4, 5, 6, 9, 0x15, 0x21, 0x103, 0x111, 0x80000009, 0x80000000];
  for (let round = 0; round < 20; round++) {
    const raw = await connectRaw(port);
    for (const command of commands) {
      const frame = randomBytes(16 + Math.floor(Math.random() * 120));
      frame.writeUInt32BE(frame.length, 0);
      frame.writeUInt32BE(command, 4);
      if (command !== 6) frame.writeUInt32BE(0, 8);
      raw.socket.write(frame);
    }
    raw.socket.end();
    await raw.closed;
  }
  expect((await (await connectClient(port)).bind()).command_status).toBe(Status.ESME_ROK);
});

test("PDUs are found however the bytes are cut", () => {
  const stream = Buffer.from(enquireLink.repeat(3) + "000000120000000400000000000000060102", "hex");
  for (let size = 1; size <= stream.length; size++) {
    const reader = new FrameReader(64);
    const frames: string[] = [];
    for (let at = 0; at < stream.length; at += size) {
      for (const frame of reader.push(stream.subarray(at, at + size))) frames.push(frame.toString("hex"));
    }
    expect(frames).toEqual([enquireLink, enquireLink, enquireLink, "000000120000000400000000000000060102"]);
  }
  expect(() => [...new FrameReader(64).push(Buffer.from("00000041", "hex"))]).toThrow(FramingError);
});
