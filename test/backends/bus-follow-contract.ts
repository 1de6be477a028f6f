import { expect, test } from "vitest";
import { WrongLastSequenceError, type Bus, type BusMessage } from "../../src/backends/bus/bus.ts";
import { until } from "../cluster/until.ts";
import { bytes, text } from "./message-text.ts";

const { signal } = new AbortController();

/** What every kind of bus must do for those who follow a stream, and for those who publish where others may have. */
export function followContract(bus: () => Bus): void {
  const report = (node: string, body: string): Promise<number> =>
    bus().publish(`ops.health.v1.uid.main.${node}`, bytes(body), { signal });
  const state = (link: string, body: string, expectedLastSubjectSequence?: number): Promise<number> =>
    bus().publish(`ops.state.v1.uid.${link}`, bytes(body), {
      signal,
      ...(expectedLastSubjectSequence === undefined ? {} : { expectedLastSubjectSequence }),
    });

  test("a follower gets the last of every subject, oldest first, then all that comes, in order", async () => {
    for (const [link, body] of ["a1", "b2", "a3", "c4", "b5"].map((word) => [...word] as [string, string])) {
      await state(link, body);
    }
    const got: string[] = [];
    const following = bus().follow("OPS_STATE", (message) => void got.push(text(message)));
    expect(got).toEqual([]);
    await following.caughtUp;
    expect(got).toEqual(["3", "4", "5"]);
    const live = Array.from({ length: 300 }, (_, index) => `live ${index}`);
    for (const [index, body] of live.entries()) await state(`live-${index}`, body);
    // A reading that has to begin anew (a reader that its own node doesn't know yet) tells what it had told, too.
    await until("they came", () => new Set(got).size >= 303);
    expect([...new Set(got)]).toEqual(["3", "4", "5", ...live]);
    await following.close();
  });

  test("each follower gets everything, as it was published, on the stream of the latest reports too", async () => {
    await report("node-1", "old");
    const sequence = await report("node-1", "1");
    const got: BusMessage[][] = [[], []];
    const followings = got.map((list) => bus().follow("OPS_HEALTH", (message) => void list.push(message)));
    await Promise.all(followings.map(({ caughtUp }) => caughtUp));
    await bus().publish("ops.health.v1.uid.main.node-2", new Uint8Array(), { headers: { A: "b" }, signal });
    for (const list of got) {
      await until("the second came", () => list.some((message) => text(message) === ""));
      expect(new Set(list.map(text))).toEqual(new Set(["1", ""]));
      expect(list[0]).toMatchObject({ subject: "ops.health.v1.uid.main.node-1", sequence, headers: {} });
      expect(list.at(-1)).toMatchObject({ headers: { A: "b" } });
      expect(Date.now() - list[0]!.time.getTime()).toBeLessThan(60_000);
    }
    await Promise.all(followings.map((following) => following.close()));
  });

  test("an empty stream is caught up with at once, and its first message comes", async () => {
    const got: string[] = [];
    const following = bus().follow("OPS_STATE", (message) => void got.push(text(message)));
    await following.caughtUp;
    await state("a", "1");
    await until("it came", () => got.includes("1"));
    await following.close();
  });

  test("a follower that throws is given the next message all the same", async () => {
    const got: string[] = [];
    const following = bus().follow("OPS_STATE", (message) => {
      got.push(text(message));
      throw new Error("not for me");
    });
    await following.caughtUp;
    for (const body of ["1", "2", "3"]) await state(`link-${body}`, body);
    await until("all came", () => new Set(got).size === 3);
    expect([...new Set(got)]).toEqual(["1", "2", "3"]);
    await following.close();
  });

  test("what is closed takes nothing more; the bus closes who is left; caughtUp of one that was closed too early rejects", async () => {
    const got: string[] = [];
    const take = (message: BusMessage): void => void got.push(text(message));
    const closed = bus().follow("OPS_STATE", take);
    await closed.caughtUp;
    await closed.close();
    const early = bus().follow("OPS_STATE", take);
    void early.close();
    await expect(early.caughtUp).rejects.toThrow("closed before it had caught up");
    await state("a", "1");
    const other: string[] = [];
    const left = bus().follow("OPS_STATE", (message) => void other.push(text(message)));
    await left.caughtUp;
    expect(other).toEqual(["1"]);
    expect(got).toEqual([]);
    await bus().close();
    await left.close();
    await expect(bus().follow("OPS_STATE", take).caughtUp).rejects.toThrow("closed before");
  });

  test("a thousand subjects that change meanwhile: the last of each arrives", { timeout: 60_000 }, async () => {
    const last = new Map<string, string>();
    const numbers = Array.from({ length: 1_000 }, (_, index) => index);
    await Promise.all(numbers.map((node) => report(String(node), "1")));
    const following = bus().follow("OPS_HEALTH", (message) => void last.set(message.subject, text(message)));
    await Promise.all(numbers.map((node) => report(String(node), "2")));
    await following.caughtUp;
    await until(
      "all are as they should be",
      () => last.size === 1_000 && [...last.values()].every((body) => body === "2"),
    );
    await following.close();
  });

  test("of two that expect the same last sequence of a subject one is refused; other subjects don't matter", async () => {
    const first = await state("a", "1", 0);
    await state("b", "1", 0);
    const second = await state("a", "2", first);
    await expect(state("a", "3", first)).rejects.toBeInstanceOf(WrongLastSequenceError);
    await expect(state("a", "3", 0)).rejects.toBeInstanceOf(WrongLastSequenceError);
    expect(await state("a", "3", second)).toBeGreaterThan(second);
    const results = await Promise.allSettled(["1", "2", "3", "4"].map((body) => state("c", body, 0)));
    expect(results.filter(({ status }) => status === "fulfilled")).toHaveLength(1);
    for (const result of results) {
      if (result.status === "rejected") expect(result.reason).toBeInstanceOf(WrongLastSequenceError);
    }
  });

  test("a new durable that begins with new messages leaves out the old ones; from then on it keeps its place", async () => {
    await state("a", "old");
    const got: string[] = [];
    const spec = { stream: "OPS_STATE", durable: "alerts", begin: "new" } as const;
    const handle = async (message: BusMessage): Promise<void> => void got.push(text(message));
    const first = bus().consume(spec, handle);
    await until("it is there", async () => {
      await state("a", "1");
      return got.length > 0;
    });
    await first.close();
    const before = got.length;
    await state("a", "while it was away");
    const second = bus().consume(spec, handle);
    await until("it came", () => got.includes("while it was away"));
    expect(got.slice(before).filter((body) => body !== "1")).toEqual(["while it was away"]);
    expect(got).not.toContain("old");
    await second.close();
  });
}
