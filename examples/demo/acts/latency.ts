import { durationMs } from "@bufbuild/protobuf/wkt";
import { OperationalState, type ConnectionHealth } from "@operator-management/contract/ops/v1/health_pb.js";
import { later, latencyBelow, untilHealth } from "../health.ts";
import { expectFirst } from "../routes.ts";
import type { Stage } from "../stage.ts";
import { acmeNetwork, type Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** Seconds until the vendor answers. With two binds and a window of 10, at most 20 answers come in that time. */
const LATENCY = 1;
const POSSIBLE_RATE = 20 / LATENCY;
/** Where it's moved to while it is slow: behind everybody. */
const LAST_PRIORITY = 900;

/** A vendor answers late: shown, and acted on by people. */
export async function degradeByLatency(stage: Stage, { acme, hub }: Cast): Promise<void> {
  const { narrator } = stage;
  narrator.section(
    "A link degrades by latency: shown, and moved by whoever is on duty",
    `acme-de's SMSC takes ${LATENCY} s for each answer. No rule takes a link out of use for that: slow is not broken.`,
  );
  const { health: before } = await untilHealth(stage, acme, "as fast as it may be", (health) => {
    return health.state === OperationalState.UP && health.observedRate > 2 * POSSIBLE_RATE;
  });
  narrator.say(`before: ${figures(before)}`);
  await stage.vendorDoes({ do: "behave", account: acme.systemId, set: { latency: { fixed: LATENCY } } });
  const begin = Date.now();
  const { health: slow, time } = await untilHealth(stage, acme, "slow", ({ observedRate, quality }) => {
    return observedRate < 1.5 * POSSIBLE_RATE && latencyBelow(quality?.latency, 0.95) > 500 * LATENCY;
  });
  narrator.proven(`shown ${later(begin, time)}: ${figures(slow)}`);
  expectThat(slow.state === OperationalState.UP, "latency alone should not take a link out of use");
  await expectFirst(stage, acmeNetwork, acme.operatorId);

  await setPriority(stage, acme, LAST_PRIORITY);
  narrator.say(`whoever is on duty gives acme-de priority ${LAST_PRIORITY}`);
  await expectFirst(stage, acmeNetwork, hub.operatorId);

  await stage.vendorDoes({ do: "behave", account: acme.systemId, set: { latency: null } });
  const { health: fast } = await untilHealth(stage, acme, "fast again", ({ observedRate }) => {
    return observedRate > 2 * POSSIBLE_RATE;
  });
  narrator.say(`the vendor is fast again: ${Math.round(fast.observedRate)} messages/s; the priority is taken back`);
  await setPriority(stage, acme, undefined);
  await expectFirst(stage, acmeNetwork, acme.operatorId);
}

async function setPriority({ admin, signal }: Stage, { operatorId }: Vendor, priority?: number): Promise<void> {
  const main = priority === undefined ? {} : { priority };
  await admin.updateOperator(
    {
      operatorId,
      operator: { connections: { main } },
      updateMask: { paths: ["connections.main.priority"] },
      reason: priority === undefined ? "the vendor is fast again" : "the vendor is slow",
    },
    { signal },
  );
}

function figures({ observedRate, quality }: ConnectionHealth): string {
  const { latency, queueDepth = 0, oldestQueuedAge } = quality ?? {};
  const waiting = oldestQueuedAge ? `, the oldest for ${(durationMs(oldestQueuedAge) / 1000).toFixed(1)} s` : "";
  const below = Math.max(1, Math.round(latencyBelow(latency, 0.95)));
  return `${Math.round(observedRate)} messages/s, 95 % answered within ${below} ms, ${queueDepth} waiting${waiting}`;
}
