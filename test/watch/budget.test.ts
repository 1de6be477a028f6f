import { setImmediate } from "node:timers/promises";
import { afterEach, expect, test, vi } from "vitest";
import { Budget } from "../../src/watch/budget.ts";

afterEach(() => {
  vi.useRealTimers();
});

const open = new AbortController().signal;

test("who finds it taken gets a share in the order of coming, and a small one doesn't overtake", async () => {
  const budget = new Budget(10);
  const order: string[] = [];
  const held = [await budget.take(4, open), await budget.take(4, open)];
  const large = budget.take(9, open).then((giveBack) => {
    order.push("large");
    return giveBack;
  });
  const small = budget.take(1, open).then(() => order.push("small"));
  const second = budget.take(1, open).then(() => order.push("second"));
  for (const giveBack of held) {
    giveBack();
    await setImmediate();
  }
  (await large)();
  await Promise.all([small, second]);
  expect(order).toEqual(["large", "small", "second"]);
});

test("who asks for more than there is gets all of it, alone", async () => {
  const budget = new Budget(10);
  const order: string[] = [];
  const before = await budget.take(1, open);
  const oversize = budget.take(1_000, open).then((giveBack) => {
    order.push("oversize");
    return giveBack;
  });
  const after = budget.take(1, open).then(() => order.push("after"));
  order.push("before gives back");
  before();
  const giveBack = await oversize;
  order.push("oversize gives back");
  giveBack();
  await after;
  expect(order).toEqual(["before gives back", "oversize", "oversize gives back", "after"]);
});

test("a share that isn't given back stops to count after a while, and counts no second time when it is", async () => {
  vi.useFakeTimers();
  const budget = new Budget(10, 1_000);
  const order: string[] = [];
  const take = (name: string): Promise<void> => budget.take(10, open).then(() => void order.push(name));
  const stuck = await budget.take(10, open);
  const waiting = [take("second"), take("third")];
  await vi.advanceTimersByTimeAsync(999);
  expect(order).toEqual([]);
  await vi.advanceTimersByTimeAsync(1);
  stuck();
  await vi.advanceTimersByTimeAsync(999);
  expect(order).toEqual(["second"]);
  await vi.advanceTimersByTimeAsync(1);
  await Promise.all(waiting);
  expect(order).toEqual(["second", "third"]);
});

test("who goes away while waiting leaves the queue, and those behind go on", async () => {
  const budget = new Budget(10);
  await budget.take(5, open);
  const gone = new AbortController();
  const large = budget.take(10, gone.signal);
  const small = budget.take(5, open);
  gone.abort(new Error("gone"));
  await expect(large).rejects.toThrow("gone");
  await small;
});

test("who goes away in the tick in which its turn comes takes nothing", async () => {
  const budget = new Budget(10);
  const first = await budget.take(10, open);
  const gone = new AbortController();
  const second = budget.take(10, gone.signal);
  first();
  gone.abort(new Error("gone"));
  await expect(second).rejects.toThrow("gone");
  await budget.take(10, open);
});
