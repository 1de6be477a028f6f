import { create, fromBinary, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { createContextValues } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  WatchOperatorsRequestSchema,
  WatchOperatorsResponseSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { expect, test } from "vitest";
import { opsError, reasonOf } from "../../src/rpc/errors.ts";
import { resetStreamKey } from "../../src/rpc/reset-stream.ts";
import { Budget } from "../../src/watch/budget.ts";
import { adminWatchHandlers, meshWatchHandlers } from "../../src/watch/handlers.ts";
import type { WatchSources } from "../../src/watch/watcher.ts";
import { WATCH_LIFETIMES, Watchers, type WatchLifetimes } from "../../src/watch/watchers.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { until } from "../catalog/support/until.ts";
import { watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();

interface Call {
  readonly messages: AsyncIterator<MessageInitShape<typeof WatchOperatorsResponseSchema>>;
  readonly cancel: AbortController;
  /** Whether the transport was told to cut it off. */
  isReset(): boolean;
}

function call(
  sources: WatchSources,
  watchers: Watchers,
  init: MessageInitShape<typeof WatchOperatorsRequestSchema> = {},
): Call {
  let reset = false;
  const cancel = new AbortController();
  const values = createContextValues().set(resetStreamKey, () => (reset = true));
  const request = create(WatchOperatorsRequestSchema, init);
  const handlers = adminWatchHandlers({ ...sources, adminSnapshots: sources.snapshots, watchers });
  const messages = handlers.watchOperators(request, { signal: cancel.signal, values } as never)[Symbol.asyncIterator]();
  return { messages, cancel, isReset: () => reset };
}

function lifetimes(changed: Partial<WatchLifetimes>): WatchLifetimes {
  return { ...WATCH_LIFETIMES, grace: 10, ...changed };
}

async function reasonFor(read: Promise<unknown>): Promise<ErrorReason | undefined> {
  return read.then(
    () => undefined,
    (error: unknown) => reasonOf(error),
  );
}

test("a reader that takes nothing is cut off once it fell off the ring", async () => {
  const { store } = followed;
  const { catalog, tail } = await followed.follow({ bytes: 1e6, revisions: 2 });
  const watchers = new Watchers(catalog, lifetimes({}));
  const stuck = call(watchSources(catalog), watchers);
  await stuck.messages.next();
  for (const id of ["a", "b"]) await store.commit({ put: id });
  await tail.refresh();
  expect(stuck.isReset(), "at the edge").toBe(false);
  await store.commit({ put: "c" });
  await tail.refresh();
  await until(() => stuck.isReset());
  expect(watchers.size).toBe(0);
  expect(watchers.ended.get("WATCH_TOO_SLOW")).toBe(1);
});

test("a reader that reads in time is told why instead", async () => {
  const { store } = followed;
  const { catalog, tail } = await followed.follow({ bytes: 1e6, revisions: 2 });
  const watchers = new Watchers(catalog, lifetimes({ grace: 60_000 }));
  const slow = call(watchSources(catalog), watchers);
  await slow.messages.next();
  for (const id of ["a", "b", "c"]) await store.commit({ put: id });
  await tail.refresh();
  expect(await reasonFor(slow.messages.next())).toBe(ErrorReason.WATCH_TOO_SLOW);
  expect(slow.isReset()).toBe(false);
  expect(watchers.size).toBe(0);
});

test("a reader that takes no part of its snapshot loses its place to the next one", async () => {
  const { store } = followed;
  await store.commit({ put: "a" });
  const { catalog } = await followed.follow();
  const sources = { ...watchSources(catalog), snapshots: new Budget(1) };
  const watchers = new Watchers(catalog, lifetimes({ stall: 10 }));
  const stuck = call(sources, watchers, { initialSnapshot: true });
  await stuck.messages.next();
  const others = new Watchers(catalog, lifetimes({}));
  const next = call(sources, others, { initialSnapshot: true });
  expect((await next.messages.next()).value).toMatchObject({ message: { case: "changes" } });
  await until(() => stuck.isReset());
  next.cancel.abort(new Error("gone"));
  await expect(next.messages.next()).rejects.toThrow("gone");
  expect(watchers.size).toBe(0);
  expect(others.size).toBe(0);
});

test("streams end by themselves at their age, and all at once when told to", async () => {
  const { catalog } = await followed.follow();
  const aged = new Watchers(catalog, lifetimes({ minAge: 10, maxAge: 20 }));
  const old = call(watchSources(catalog), aged);
  await old.messages.next();
  expect(await reasonFor(old.messages.next())).toBe(ErrorReason.STREAM_EXPIRED);

  const watchers = new Watchers(catalog, lifetimes({}));
  const calls = [call(watchSources(catalog), watchers), call(watchSources(catalog), watchers)];
  for (const each of calls) await each.messages.next();
  expect(watchers.size).toBe(2);
  const waiting = calls.map((each) => reasonFor(each.messages.next()));
  watchers.closeAll(opsError(ErrorReason.SHUTTING_DOWN, "closing"));
  expect(await Promise.all(waiting)).toEqual([ErrorReason.SHUTTING_DOWN, ErrorReason.SHUTTING_DOWN]);
  expect(watchers.ended.get("SHUTTING_DOWN")).toBe(2);
});

test("a client that goes away leaves nothing behind", async () => {
  const { catalog } = await followed.follow();
  const watchers = new Watchers(catalog, lifetimes({}));
  const left = call(watchSources(catalog), watchers);
  await left.messages.next();
  const waiting = left.messages.next();
  left.cancel.abort(new Error("gone"));
  await expect(waiting).rejects.toThrow("gone");
  const returned = call(watchSources(catalog), watchers);
  await returned.messages.next();
  await returned.messages.return?.();
  expect(watchers.size).toBe(0);
  expect(watchers.ended.get("CANCELLED")).toBe(2);
});

test("places for snapshots are given in turn, and given back however their holders end", async () => {
  const slots = new Budget(1);
  const order: string[] = [];
  const holder = new AbortController();
  await slots.take(1, holder.signal);
  const gone = new AbortController();
  const refused = slots.take(1, gone.signal).catch(() => order.push("refused"));
  const second = slots.take(1, new AbortController().signal).then((release) => {
    order.push("second");
    return release;
  });
  const third = slots.take(1, new AbortController().signal).then(() => order.push("third"));
  gone.abort();
  await refused;
  holder.abort();
  const release = await second;
  release();
  release();
  await third;
  expect(order).toEqual(["refused", "second", "third"]);
  await expect(slots.take(1, AbortSignal.abort(new Error("early")))).rejects.toThrow("early");
});

test("a watch that waits for its place hears something every bookmark interval, and then gets its snapshot", async () => {
  const { catalog } = await followed.follow();
  const snapshots = new Budget(1);
  const holder = new AbortController();
  await snapshots.take(1, holder.signal);
  const sources = { ...watchSources(catalog), snapshots };
  const bookmarkInterval = { seconds: 1n };
  const { messages, cancel } = call(sources, new Watchers(catalog), { initialSnapshot: true, bookmarkInterval });
  const waiting = await messages.next();
  expect(waiting.value).toMatchObject({ message: { case: "changes", value: { events: [], token: "" } } });
  holder.abort();
  expect((await messages.next()).value).toMatchObject({
    message: { case: "bookmark", value: { initialComplete: true } },
  });
  cancel.abort();
});

test("however many admins hold places for snapshots, the mesh has its own", async () => {
  const { store } = followed;
  await store.commit({ put: "a" });
  const { catalog } = await followed.follow();
  const adminSnapshots = new Budget(1);
  const holder = new AbortController();
  await adminSnapshots.take(1, holder.signal);
  const deps = { ...watchSources(catalog), adminSnapshots, watchers: new Watchers(catalog) };
  const request = create(WatchOperatorsRequestSchema, { initialSnapshot: true, bookmarkInterval: { seconds: 1n } });
  const signal = holder.signal;
  const first = async ({ watchOperators }: Pick<ReturnType<typeof meshWatchHandlers>, "watchOperators">) => {
    for await (const reply of watchOperators(request, { signal, values: createContextValues() } as never)) {
      const sent = toBinary(WatchOperatorsResponseSchema, create(WatchOperatorsResponseSchema, reply));
      const { message } = fromBinary(WatchOperatorsResponseSchema, sent);
      return message.case === "changes" ? message.value.events.length : message.case;
    }
    return undefined;
  };
  expect(await first(meshWatchHandlers(deps))).toBe(1);
  expect(await first(adminWatchHandlers(deps))).toBe(0); // a sign of life
  holder.abort();
});
