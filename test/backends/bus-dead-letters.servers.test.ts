import { spawn } from "node:child_process";
import { once } from "node:events";
import { fileURLToPath } from "node:url";
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { MAX_DELIVER } from "../../src/backends/bus/attempts.ts";
import { PoisonMessageError, type Bus, type BusMessage } from "../../src/backends/bus/bus.ts";
import type { JetStreamBusOptions } from "../../src/backends/bus/jetstream-bus.ts";
import { startNats, type Nats } from "../cluster/nats.ts";
import { until } from "../cluster/until.ts";
import { keepDeadLetters } from "./bus-dead-letters-contract.ts";
import type { ConsumerSettings } from "./deadly-consumer.ts";
import { asAdmin, connected, jetStreamBus, keptLog, removeStreams } from "./jetstream-buses.ts";
import { bytes, text } from "./message-text.ts";

const AUDIT = { stream: "OPS_AUDIT", durable: "writer" } as const;
const ACK_WAIT_MS = 500;
const { signal } = new AbortController();
let nats: Nats;
const buses: Bus[] = [];

beforeAll(async () => {
  nats = await startNats({ nodes: 1 });
});
afterEach(async () => {
  await Promise.all(buses.splice(0).map((bus) => bus.close()));
  await removeStreams(nats);
});
afterAll(() => nats[Symbol.asyncDispose]());

async function open(options: Partial<JetStreamBusOptions> = {}): Promise<Bus> {
  const bus = jetStreamBus(nats, { ackWaitMs: ACK_WAIT_MS, ...options });
  buses.push(bus);
  await connected(bus);
  return bus;
}

const audit = (bus: Bus, body: string): Promise<number> => bus.publish("ops.audit.v1", bytes(body), { signal });

/** What a consumer in a process of its own printed until it died. */
async function runUntilItDies(): Promise<string> {
  const { servers, user, password } = nats;
  const settings: ConsumerSettings = { servers, user, password, ackWaitMs: ACK_WAIT_MS };
  const file = fileURLToPath(new URL("deadly-consumer.ts", import.meta.url));
  const child = spawn(process.execPath, ["--conditions=source", file, JSON.stringify(settings)], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  let printed = "";
  child.stdout.on("data", (chunk: Buffer) => (printed += chunk.toString()));
  const [, killedBy] = (await once(child, "close")) as [number | null, NodeJS.Signals | null];
  expect(killedBy).toBe("SIGKILL");
  return printed;
}

test(
  "a message that kills its consumers is a dead letter after a while, and the next one comes",
  { timeout: 180_000 },
  async () => {
    const log = keptLog();
    const bus = await open(log);
    const letters = await keepDeadLetters(bus);
    await audit(bus, "deadly");
    await audit(bus, "harmless");
    // The first are not counted, the next ones are, then it is given up.
    for (let death = 0; death < 2 * MAX_DELIVER; death++) expect(await runUntilItDies()).toBe("deadly\n");
    expect(letters).toEqual([]);
    const got: string[] = [];
    bus.consume(AUDIT, async (message) => void got.push(text(message)));
    await until("the harmless one came", () => got.length > 0);
    expect(got).toEqual(["harmless"]);
    await until("the letter came", () => letters.length > 0);
    expect(letters.map(({ error, data }) => [error, new TextDecoder().decode(data)])).toEqual([
      [`its consumer died of it at least ${MAX_DELIVER} times in a row`, "deadly"],
    ]);
    expect(log.lines.filter(({ level }) => level === "error")).toMatchObject([
      { text: "a message that nobody can use was moved to OPS_DLQ", details: { stream: "OPS_AUDIT", sequence: 1 } },
    ]);
  },
);

test(
  "failures in good order are no deaths, however many, and even if processes died between them",
  { timeout: 180_000 },
  async () => {
    const bus = await open();
    const letters = await keepDeadLetters(bus);
    await audit(bus, "deadly");
    let failures = 0;
    const failFor = async (times: number): Promise<void> => {
      const enough = failures + times;
      const consumption = bus.consume(AUDIT, async () => {
        failures++;
        throw new Error("the database is away");
      });
      await until("it has failed", () => failures >= enough);
      await consumption.close();
    };
    const deaths = MAX_DELIVER - 1;
    for (let round = 0; round < 2; round++) {
      await failFor(2 * MAX_DELIVER);
      for (let death = 0; death < deaths; death++) await runUntilItDies();
    }
    const got: string[] = [];
    bus.consume(AUDIT, async (message) => void got.push(text(message)));
    await until("it is handled", () => got.length > 0);
    expect(got).toEqual(["deadly"]);
    expect(letters).toEqual([]);
  },
);

test("while a dead letter can't be kept its message comes again; then it is kept once", async () => {
  const log = keptLog();
  const bus = await open(log);
  const refuse = (max_msg_size: number) =>
    asAdmin(nats, (manager) => manager.streams.update("OPS_DLQ", { max_msg_size }));
  await refuse(1);
  let deliveries = 0;
  const got: string[] = [];
  bus.consume(AUDIT, async (message: BusMessage) => {
    if (text(message) !== "poison") return void got.push(text(message));
    deliveries++;
    throw new PoisonMessageError("no audit record");
  });
  await audit(bus, "poison");
  await audit(bus, "next");
  await until("it came again and again", () => deliveries > 8);
  expect(got).toEqual([]);
  expect(await bus.lastMessage("OPS_DLQ", signal)).toBeUndefined();
  await refuse(-1);
  await until("the next one came", () => got.length > 0);
  const letters = await keepDeadLetters(bus);
  expect(letters.map(({ error }) => error)).toEqual(["no audit record"]);
  expect(log.lines.filter(({ details }) => "problem" in details).map(({ level }) => level)).toEqual(["warn", "error"]);
});

test("a poisonous message on a stream that keeps its messages is done for this consumer, and left there for others", async () => {
  const bus = await open();
  const letters = await keepDeadLetters(bus);
  const state = (body: string) => bus.publish("ops.state.v1.uid.main", bytes(body), { signal });
  for (const body of ["1", "poison", "3"]) await state(body);
  const got: string[] = [];
  const reader = (durable: string): void => {
    bus.consume({ stream: "OPS_STATE", durable }, async (message) => {
      got.push(`${durable} ${text(message)}`);
      if (text(message) === "poison") throw new PoisonMessageError("no transition");
    });
  };
  reader("a");
  await until("a has all", () => got.includes("a 3"));
  reader("b");
  await until("b has all", () => got.includes("b 3"));
  expect(got).toEqual(["a 1", "a poison", "a 3", "b 1", "b poison", "b 3"]);
  await until("both letters came", () => letters.length === 2);
  expect(letters.map(({ consumer }) => consumer)).toEqual(["a", "b"]);
});
