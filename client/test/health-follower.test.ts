import type { MessageInitShape } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { Code } from "@connectrpc/connect";
import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import type {
  WatchHealthRequest,
  WatchHealthResponseSchema,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { describe, expect, it } from "vitest";
import { HealthFollower, type HealthFollowerOptions } from "../src/index.ts";
import { createMeshClient } from "../src/node.ts";
import { closingAfterEach } from "./harness/closing.ts";
import { untilGone } from "./harness/frames.ts";
import { serviceError, startMeshServer } from "./harness/mesh-server.ts";

const closing = closingAfterEach();
const { UP, DOWN, UNKNOWN } = OperationalState;
const NOW = Date.parse("2030-01-31T12:00:00Z");

type Message = MessageInitShape<typeof WatchHealthResponseSchema>;
type Script = (signal: AbortSignal, request: WatchHealthRequest) => AsyncIterable<Message>;

/** A message with these links, each `connection: state`; without a state the link is gone. */
function links(states: Record<string, OperationalState | undefined>, initialComplete = false): Message {
  return {
    links: Object.entries(states).map(([connectionId, state]) => ({
      operatorId: "acme",
      operatorUid: "u-1",
      connectionId,
      ...(state !== undefined && { health: { state, holders: ["n-1"], lastGoodTime: timestampFromMs(NOW - 1_000) } }),
    })),
    initialComplete,
    healthTime: timestampFromMs(NOW),
  };
}

/** A follower of a service whose n-th stream is the n-th script; the last one serves the later ones too. */
async function following(scripts: Script[], options: Partial<HealthFollowerOptions> = {}) {
  let streams = 0;
  const server = closing(
    await startMeshServer({
      mesh: {
        async *watchHealth(request, { signal }) {
          const script = scripts[Math.min(streams++, scripts.length - 1)];
          if (script) yield* script(signal, request);
        },
      },
    }),
  );
  const clock = { now: NOW };
  const client = createMeshClient({ baseUrl: server.baseUrl });
  const follower = closing(HealthFollower.start({ client, now: () => clock.now, ...options }));
  const state = (connection: string) => follower.of("acme", "u-1", connection)?.state;
  return { follower, server, clock, state, streams: () => streams };
}

describe("a follower of health", () => {
  it("knows all links when the snapshot is complete, and follows what changes", async () => {
    const step = Promise.withResolvers<void>();
    const { follower, state } = await following([
      async function* (signal) {
        yield links({ main: UP });
        yield links({ backup: DOWN }, true);
        await step.promise;
        yield links({ main: DOWN, backup: undefined });
        await untilGone(signal);
      },
    ]);
    expect(await follower.ready()).toBe(true);
    expect([state("main"), state("backup"), state("other")]).toEqual([UP, DOWN, undefined]);
    expect(follower.of("acme", "another uid", "main")).toBeUndefined();
    expect(follower.status).toMatchObject({
      connected: true,
      complete: true,
      healthTime: new Date(NOW),
      healthAgeMs: 0,
    });
    step.resolve();
    await expect.poll(() => state("main"), { timeout: 15_000 }).toBe(DOWN);
    expect(state("backup")).toBeUndefined();
  });

  it("asks for what it was told to", async () => {
    const asked: WatchHealthRequest[] = [];
    const { follower } = await following(
      [
        async function* (signal, request) {
          asked.push(request);
          yield links({}, true);
          await untilGone(signal);
        },
      ],
      { operatorIds: ["acme"], includeObservers: true, heartbeatIntervalMs: 2_000 },
    );
    await follower.ready();
    expect(asked).toMatchObject([
      { operatorIds: ["acme"], includeObservers: true, heartbeatInterval: { seconds: 2n } },
    ]);
  });

  it("keeps what it has until the next stream's snapshot is complete; what that didn't bring is gone", async () => {
    const step = Promise.withResolvers<void>();
    const { follower, state, server, streams } = await following([
      async function* (signal) {
        yield links({ main: UP, backup: UP }, true);
        await untilGone(signal);
      },
      async function* (signal) {
        yield links({ main: DOWN });
        await step.promise;
        yield links({}, true);
        await untilGone(signal);
      },
    ]);
    await follower.ready();
    server.cut();
    await expect.poll(streams, { timeout: 15_000 }).toBe(2);
    await expect.poll(() => follower.status.connected, { timeout: 15_000 }).toBe(true);
    expect([state("main"), state("backup")]).toEqual([UP, UP]);
    step.resolve();
    await expect.poll(() => state("main"), { timeout: 15_000 }).toBe(DOWN);
    expect(state("backup")).toBeUndefined();
  });

  it("reconnects after three heartbeats were missed, and after errors", async () => {
    const { follower, streams } = await following(
      [
        async function* (signal) {
          yield links({ main: UP }, true);
          await untilGone(signal); // silent from here on
        },
        // eslint-disable-next-line require-yield -- it ends at once
        async function* () {
          throw serviceError(Code.Unavailable, "SHUTTING_DOWN");
        },
        async function* (signal) {
          for (;;) {
            yield links({ main: UP }, true);
            if (signal.aborted) return;
            await new Promise((resolve) => setTimeout(resolve, 5));
          }
        },
      ],
      { heartbeatIntervalMs: 1_000 },
    );
    await follower.ready();
    await expect.poll(streams, { timeout: 15_000 }).toBe(3);
    await expect.poll(() => follower.status.connected, { timeout: 15_000 }).toBe(true);
    expect(follower.status.lastError).toBeUndefined();
  });

  it("ages to UNKNOWN when nothing is heard, as the service would have it, and comes back", async () => {
    const { follower, state, clock, server } = await following([
      async function* (signal) {
        yield links({ main: UP, backup: DOWN }, true);
        await untilGone(signal);
      },
    ]);
    await follower.ready();
    const held = follower.at(new Date(NOW + 29_999));
    clock.now = NOW + 29_999;
    expect([state("main"), state("backup")]).toEqual([UP, DOWN]);
    clock.now = NOW + 30_000;
    expect([state("main"), state("backup")]).toEqual([UNKNOWN, UNKNOWN]);
    expect(follower.of("acme", "u-1", "main")).toMatchObject({
      reasons: [OperationalReason.NO_REPORT],
      since: timestampFromMs(NOW + 30_000),
      lastGoodTime: timestampFromMs(NOW - 1_000),
      holders: [],
    });
    expect(follower.status.staleSince).toEqual(new Date(NOW + 30_000));
    expect(held.of("acme", "u-1", "main")?.state).toBe(UP);
    server.cut();
    await expect.poll(() => state("main"), { timeout: 15_000 }).toBe(UP);
  });

  it("is not ready without a service, says why, and ends", async () => {
    const follower = HealthFollower.start({ client: createMeshClient({ baseUrl: "http://127.0.0.1:9" }) });
    expect(await follower.ready({ timeoutMs: 50 })).toBe(false);
    await expect.poll(() => follower.status.lastError, { timeout: 15_000 }).toBeInstanceOf(Error);
    await follower.close();
    await follower.close();
    expect(follower.status).toMatchObject({ connected: false, complete: false });
  });
});
