import { once } from "node:events";
import { connect, constants } from "node:http2";
import { create, toBinary } from "@bufbuild/protobuf";
import { WatchOperatorsRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { pino } from "pino";
import { Registry } from "prom-client";
import { expect, test } from "vitest";
import { HealthState } from "../../src/rpc/health.ts";
import { localIdentity } from "../../src/rpc/local-identity.ts";
import { startServer } from "../../src/server.ts";
import { meshWatchHandlers } from "../../src/watch/handlers.ts";
import { WATCH_LIFETIMES, Watchers } from "../../src/watch/watchers.ts";
import { useFollowedStore } from "../catalog/support/followed-store.ts";
import { until } from "../catalog/support/until.ts";
import { watchSources } from "./support/recorded-watch.ts";

const followed = useFollowedStore();

function grpcMessage(bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(5);
  header.writeUInt32BE(bytes.length, 1);
  return Buffer.concat([header, bytes]);
}

test("a peer that lets its window run full is cut off once its watch fell off the ring, and its connection lives on", async () => {
  const { store } = followed;
  const big = { labels: { pad: "x".repeat(200_000) } };
  await store.commit({ put: "a", with: big });
  const { catalog, tail } = await followed.follow({ bytes: 1e9, revisions: 2 });
  const watchers = new Watchers(catalog, { ...WATCH_LIFETIMES, grace: 10 });
  const server = await startServer({
    host: "127.0.0.1",
    port: 0,
    admin: {},
    mesh: meshWatchHandlers({ ...watchSources(catalog), watchers }),
    identity: localIdentity([]),
    health: new HealthState(),
    logger: pino({ enabled: false }),
    registry: new Registry(),
    reflection: false,
  });
  const session = connect(`http://127.0.0.1:${server.port}`, { settings: { initialWindowSize: 1024 } });
  try {
    const stream = session.request({
      ":method": "POST",
      ":path": "/ops.v1.OperatorService/WatchOperators",
      "content-type": "application/grpc",
      te: "trailers",
    });
    const ended = once(stream, "close");
    stream.on("error", () => undefined);
    stream.end(
      grpcMessage(
        toBinary(WatchOperatorsRequestSchema, create(WatchOperatorsRequestSchema, { initialSnapshot: true })),
      ),
    );
    await once(stream, "response");
    expect(watchers.size).toBe(1);
    for (const put of ["b", "c", "d"]) await store.commit({ put });
    await tail.refresh();
    await ended;
    expect(stream.rstCode).toBe(constants.NGHTTP2_CANCEL);
    expect(watchers.ended.get("WATCH_TOO_SLOW")).toBe(1);
    let answered = false;
    session.ping(() => (answered = true));
    await until(() => answered);
  } finally {
    session.destroy();
    await server.close(0);
  }
});
