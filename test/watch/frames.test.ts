import { fromBinary, toBinary, toJson } from "@bufbuild/protobuf";
import { WatchOperatorsResponseSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { expect, test } from "vitest";
import { adminMessageOf } from "../../src/watch/admin-frames.ts";
import { InternalFrames } from "../../src/watch/internal-frames.ts";
import type { WatchFrame } from "../../src/watch/watch-frame.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { RecordedWatch, watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();

test("the bytes for the mesh say what the messages for admins say, and are made once", async () => {
  const { store } = followed;
  const { catalog, tail } = await followed.follow();
  const watch = new RecordedWatch(watchSources(catalog), { filter: "labels.env = prod" });
  const frames: WatchFrame[] = [await watch.next()];
  await store.commit(
    { put: "a", with: { labels: { env: "prod" }, notes: "ü 漢" } },
    { put: "b", with: { labels: { env: "prod" } } },
  );
  await store.commit(
    { put: "a", with: { notes: "left" } },
    { delete: "b" },
    { put: "c", with: { labels: { env: "prod" } } },
  );
  await tail.refresh();
  frames.push(await watch.next(), await watch.next());
  await watch.close();

  const { messageOf } = new InternalFrames();
  for (const frame of frames) {
    const sent = fromBinary(WatchOperatorsResponseSchema, toBinary(WatchOperatorsResponseSchema, messageOf(frame)));
    expect(sent.$unknown).toBeUndefined();
    expect(toJson(WatchOperatorsResponseSchema, sent)).toEqual(
      toJson(WatchOperatorsResponseSchema, adminMessageOf(frame)),
    );
  }
  const [, changes] = frames;
  if (changes === undefined) throw new Error("no changes were seen");
  expect(messageOf(changes)).toBe(messageOf(changes));
});
