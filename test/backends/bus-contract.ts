import { setTimeout } from "node:timers/promises";
import { afterEach, beforeEach, expect, test } from "vitest";
import { WrongLastSequenceError, type Bus, type BusMessage } from "../../src/backends/bus/bus.ts";
import { until } from "../cluster/until.ts";
import { deadLetterContract } from "./bus-dead-letters-contract.ts";
import { followContract } from "./bus-follow-contract.ts";
import { bytes, text } from "./message-text.ts";

const forever = new AbortController().signal;
const CONFIG = "OPS_CONFIG";
const AUDIT = "OPS_AUDIT";
const subject = (id: string): string => `ops.config.v1.${id}`;

/**
 * What every kind of bus must do. `open` gives a bus with empty streams whose redeliveries come within a fraction of a second; called
 * a second time within a test it gives another process's view of the same bus, or the same one again.
 */
export function busContract(open: () => Promise<Bus>): void {
  let bus: Bus;
  beforeEach(async () => {
    bus = await open();
  });
  afterEach(() => bus.close());

  const publish = (id: string, body: string, expectedLastSequence?: number): Promise<number> =>
    bus.publish(subject(id), bytes(body), {
      signal: forever,
      ...(expectedLastSequence === undefined ? {} : { expectedLastSequence }),
    });
  const audit = (body: string, messageId?: string): Promise<number> =>
    bus.publish("ops.audit.v1", bytes(body), { signal: forever, ...(messageId === undefined ? {} : { messageId }) });
  const auditGone = (): Promise<void> =>
    until("every audit message is done", async () => (await bus.lastMessage(AUDIT, forever)) === undefined);

  followContract(() => bus);
  deadLetterContract(() => bus);

  test("a new stream has no message and ends at 0", async () => {
    expect(bus.connected).toBe(true);
    expect(await bus.lastMessage(CONFIG, forever)).toBeUndefined();
    expect(await bus.lastSequence(CONFIG, forever)).toBe(0);
  });

  test("the last message comes back as it was published", async () => {
    const data = Uint8Array.of(0, 255, 10, 13, 0);
    const headers = { "Ops-Revision": "17", "Ops-Index": "0" };
    const before = Date.now() - 1_000;
    const sequence = await bus.publish(subject("acme"), data, { headers, signal: forever });
    data.fill(1); // the caller's own again
    const last = await bus.lastMessage(CONFIG, forever);
    expect(last).toMatchObject({ subject: subject("acme"), headers, sequence });
    expect([...last!.data]).toEqual([0, 255, 10, 13, 0]);
    expect(last!.time.getTime()).toBeGreaterThan(before);
    expect(await bus.lastSequence(CONFIG, forever)).toBe(sequence);
  });

  test("an empty message is one too", async () => {
    await bus.publish(subject("acme"), new Uint8Array(), { signal: forever });
    const last = await bus.lastMessage(CONFIG, forever);
    expect(last?.data.length).toBe(0);
    expect(last?.headers).toEqual({});
  });

  test("of two that expect the same last sequence one is refused, and nothing of it is kept", async () => {
    const first = await publish("a", "1", 0);
    await publish("a", "2", first);
    await expect(publish("b", "3", first)).rejects.toBeInstanceOf(WrongLastSequenceError);
    await expect(publish("b", "3", 0)).rejects.toBeInstanceOf(WrongLastSequenceError);
    expect(text((await bus.lastMessage(CONFIG, forever))!)).toBe("2");
  });

  test("of many that append at once with the same expectation exactly one succeeds", async () => {
    const results = await Promise.allSettled(["a", "b", "c", "d", "e"].map((id) => publish(id, id, 0)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(WrongLastSequenceError);
    }
  });

  test("a second message with the same id is dropped and has the first one's sequence", async () => {
    const first = await audit("1", "id-1");
    expect(await audit("1 again", "id-1")).toBe(first);
    expect(await audit("2", "id-2")).toBe(first + 1);
  });

  test("OPS_CONFIG keeps the last message of every subject, oldest first", async () => {
    for (const [id, body] of ["a1", "b1", "c1", "a2", "b2", "a3"].map((word) => [...word] as [string, string])) {
      await publish(id, body);
    }
    const kept: string[] = [];
    await bus.lastPerSubject(CONFIG, (message) => void kept.push(`${message.subject} ${text(message)}`), forever);
    expect(kept).toEqual(["ops.config.v1.c 1", "ops.config.v1.b 2", "ops.config.v1.a 3"]);
  });

  test("the last messages of an empty stream are none; of a thousand subjects, a thousand in order", async () => {
    const kept: string[] = [];
    const take = (message: BusMessage): void => void kept.push(text(message));
    await bus.lastPerSubject(CONFIG, take, forever);
    expect(kept).toEqual([]);
    const bodies = Array.from({ length: 1_000 }, (_, index) => String(index));
    await Promise.all(bodies.map((body) => publish(`operator-${body}`, body)));
    await bus.lastPerSubject(CONFIG, take, forever);
    expect(kept.toSorted((a, b) => Number(a) - Number(b))).toEqual(bodies);
  });

  test("a call whose signal is aborted rejects with the signal's reason", async () => {
    const reason = new Error("no longer wanted");
    const signal = AbortSignal.abort(reason);
    await expect(bus.publish(subject("a"), bytes("1"), { signal })).rejects.toBe(reason);
    await expect(bus.lastMessage(CONFIG, signal)).rejects.toBe(reason);
    await expect(bus.lastPerSubject(CONFIG, () => undefined, signal)).rejects.toBe(reason);
  });

  test("a consumer gets what was there before it and what comes, in order, and done messages leave a work queue", async () => {
    await audit("1");
    await audit("2");
    const got: string[] = [];
    const consumption = bus.consume(
      { stream: AUDIT, durable: "writer" },
      async (message) => void got.push(text(message)),
    );
    await until("the old ones came", () => got.length === 2);
    await audit("3");
    await auditGone();
    expect(got).toEqual(["1", "2", "3"]);
    expect(await bus.lastSequence(AUDIT, forever)).toBe(3);
    await consumption.close();
  });

  test("a message whose handling fails comes again before any later one", async () => {
    const got: string[] = [];
    let failures = 3;
    const consumption = bus.consume({ stream: AUDIT, durable: "writer" }, async (message) => {
      got.push(text(message));
      if (text(message) === "2" && failures-- > 0) throw new Error("not now");
    });
    for (const body of ["1", "2", "3"]) await audit(body);
    await auditGone();
    expect(got).toEqual(["1", "2", "2", "2", "2", "3"]);
    await consumption.close();
  });

  test("two that share a durable consumer handle every message once, one at a time, in order", async () => {
    const got: string[] = [];
    let busy = 0;
    let most = 0;
    const handle = async (message: BusMessage): Promise<void> => {
      most = Math.max(most, ++busy);
      await setTimeout(1);
      got.push(text(message));
      busy--;
    };
    const other = await open();
    const consumptions = [bus, other].map((one) => one.consume({ stream: AUDIT, durable: "writer" }, handle));
    const bodies = Array.from({ length: 50 }, (_, index) => String(index));
    for (const body of bodies) await audit(body);
    await auditGone();
    expect(got).toEqual(bodies);
    expect(most).toBe(1);
    await Promise.all(consumptions.map((consumption) => consumption.close()));
    await other.close();
  });

  test("closing a consumption waits for the message in hand, which is then done; the rest is the next one's", async () => {
    const { promise: allowed, resolve: allow } = Promise.withResolvers<void>();
    const got: string[] = [];
    const first = bus.consume({ stream: AUDIT, durable: "writer" }, async (message) => {
      got.push(`first ${text(message)}`);
      await allowed;
    });
    await audit("1");
    await audit("2");
    await until("one is in hand", () => got.length === 1);
    let closed = false;
    const closing = first.close().then(() => (closed = true));
    await setTimeout(20);
    expect(closed).toBe(false);
    allow();
    await closing;
    const second = bus.consume({ stream: AUDIT, durable: "writer" }, async (message) => {
      got.push(`second ${text(message)}`);
    });
    await auditGone();
    expect(got).toEqual(["first 1", "second 2"]);
    await second.close();
  });

  test("closing the bus aborts the handler's signal", async () => {
    const { promise: began, resolve: begin } = Promise.withResolvers<AbortSignal>();
    bus.consume({ stream: AUDIT, durable: "writer" }, async (_message, signal) => {
      begin(signal);
      await new Promise<void>((resolve) => signal.addEventListener("abort", () => resolve()));
      throw new Error("interrupted");
    });
    await audit("1");
    const signal = await began;
    expect(signal.aborted).toBe(false);
    await bus.close();
    expect(signal.aborted).toBe(true);
    await expect(audit("2")).rejects.toThrow("the bus can't");
  });
}
