import { fromBinary } from "@bufbuild/protobuf";
import { timestampDate } from "@bufbuild/protobuf/wkt";
import { DeadLetterSchema, type DeadLetter } from "@operator-management/contract/ops/v1/event_pb.js";
import { expect, test } from "vitest";
import { PoisonMessageError, type Bus, type BusMessage } from "../../src/backends/bus/bus.ts";
import { until } from "../cluster/until.ts";
import { bytes, text } from "./message-text.ts";

const { signal } = new AbortController();

/** What OPS_DLQ holds, oldest first, and how it is told of what comes. */
export async function keepDeadLetters(bus: Bus): Promise<DeadLetter[]> {
  const letters: DeadLetter[] = [];
  const following = bus.follow("OPS_DLQ", ({ data }) => void letters.push(fromBinary(DeadLetterSchema, data)));
  await following.caughtUp;
  return letters;
}

/** What every kind of bus must do with messages that nobody can use. */
export function deadLetterContract(bus: () => Bus): void {
  test("a poisonous message is kept in OPS_DLQ once, with what is wrong with it, and the next ones come", async () => {
    const letters = await keepDeadLetters(bus());
    const got: string[] = [];
    bus().consume({ stream: "OPS_AUDIT", durable: "writer" }, async (message) => {
      got.push(text(message));
      if (text(message) === "poison") throw new PoisonMessageError("no audit record");
    });
    await bus().publish("ops.audit.v1", bytes("1"), { signal });
    const before = Date.now() - 1_000;
    const sequence = await bus().publish("ops.audit.v1", bytes("poison"), { signal });
    await bus().publish("ops.audit.v1", bytes("3"), { signal });
    const gone = async (): Promise<boolean> => (await bus().lastMessage("OPS_AUDIT", signal)) === undefined;
    await until("every message is done", gone);
    expect(got).toEqual(["1", "poison", "3"]);
    await until("the letter came", () => letters.length > 0);
    expect(letters).toHaveLength(1);
    expect((await bus().lastMessage("OPS_DLQ", signal))?.subject).toBe("ops.dlq.v1.OPS_AUDIT");
    const [letter] = letters;
    expect(letter).toMatchObject({
      stream: "OPS_AUDIT",
      subject: "ops.audit.v1",
      sequence: BigInt(sequence),
      consumer: "writer",
      error: "no audit record",
    });
    expect(text(letter!)).toBe("poison");
    expect(timestampDate(letter!.time!).getTime()).toBeGreaterThan(before);
  });

  test("a long message is cut in its dead letter", async () => {
    const letters = await keepDeadLetters(bus());
    bus().consume({ stream: "OPS_STATE", durable: "writer" }, async () => {
      throw new PoisonMessageError("x".repeat(100_000));
    });
    await bus().publish("ops.state.v1.a.b", new Uint8Array(900_000).fill(7), { signal });
    await until("the letter came", () => letters.length > 0);
    expect(
      Buffer.alloc(256 * 1024)
        .fill(7)
        .equals(letters[0]!.data),
    ).toBe(true);
    expect(letters[0]!.error).toHaveLength(2_000);
  });

  test("a message that fails for any other reason comes again however often, and is never a dead letter", async () => {
    const letters = await keepDeadLetters(bus());
    let deliveries = 0;
    const done: BusMessage[] = [];
    bus().consume({ stream: "OPS_AUDIT", durable: "writer" }, async (message) => {
      if (++deliveries < 30) throw new Error("the database is away");
      done.push(message);
    });
    await bus().publish("ops.audit.v1", bytes("1"), { signal });
    await until("it was handled at last", () => done.length === 1);
    expect(deliveries).toBe(30);
    expect(letters).toEqual([]);
  });
}
