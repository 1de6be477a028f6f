import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { healthWords, later, untilHealth, untilUp } from "../health.ts";
import { expectFirst } from "../routes.ts";
import type { Stage } from "../stage.ts";
import { acmeNetwork, solaNetwork } from "../vendors.ts";
import { bound } from "./onboard.ts";
import type { Cast } from "./start.ts";

/** A vendor plays dead. Returns what waits until its link is trusted again, which takes half a minute. */
export async function fallSilent(stage: Stage, { acme, hub }: Cast): Promise<() => Promise<void>> {
  const { narrator } = stage;
  narrator.section(
    "A link goes silent: connected, and nobody is there",
    "acme-de's SMSC answers nothing any more, but its connections stay open. Only enquire_link finds that out: here after",
    "5 s without a word, twice in a row for 1 s.",
  );
  await untilUp(stage, acme);
  await expectFirst(stage, acmeNetwork, acme.operatorId);
  await stage.vendorDoes({ do: "behave", account: acme.systemId, set: { mute: "everything" } });
  const begin = Date.now();
  const down = await untilHealth(stage, acme, "DOWN", ({ state }) => state === OperationalState.DOWN);
  narrator.proven(`${healthWords(down.health)}, ${later(begin, down.time)}`);
  await expectFirst(stage, acmeNetwork, hub.operatorId);

  await stage.vendorDoes({ do: "behave", account: acme.systemId, set: { mute: null } });
  const awake = Date.now();
  await bound(stage, acme, 2);
  narrator.say(`the vendor is back, and both binds are up, ${later(awake, Date.now())}`);
  narrator.detail("a link that was down is trusted again after 24 to 30 s: meanwhile, something else");
  return async () => {
    narrator.section("The silent link is trusted again");
    const up = await untilUp(stage, acme);
    narrator.proven(`acme-de is UP, ${later(awake, up.time)} than the vendor was back`);
    await expectFirst(stage, acmeNetwork, acme.operatorId);
  };
}

/** The connector itself says nothing any more: nobody knows how any link is, and all are routed. */
export async function nobodyReports(stage: Stage, { acme, sola, hub }: Cast): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "Nobody reports any more: all links are UNKNOWN, and all are routed",
    "The connector is frozen (SIGSTOP). Its silence is no verdict on the vendors.",
  );
  const connector = stage.child("connector");
  const begin = Date.now();
  connector.pause();
  for (const vendor of [acme, sola, hub]) {
    await untilHealth(stage, vendor, "UNKNOWN for want of reports", ({ state, reasons }) => {
      return state === OperationalState.UNKNOWN && reasons.includes(OperationalReason.NO_REPORT);
    });
  }
  narrator.proven(`all three links are UNKNOWN: NO_REPORT, ${later(begin, Date.now())}`);
  await expectFirst(stage, acmeNetwork, acme.operatorId);
  await expectFirst(stage, solaNetwork, hub.operatorId);
  // Silence is recorded within two seconds, by whichever process comes first.
  await stage.until("the silence is recorded", async () => {
    const { transitions } = await admin.listHealthTransitions({ operatorId: acme.operatorId, pageSize: 1 }, { signal });
    return transitions[0]?.reason === OperationalReason.NO_REPORT;
  });
  connector.resume();
  const resumed = Date.now();
  for (const vendor of [acme, sola, hub]) await untilUp(stage, vendor);
  narrator.proven(`the connector goes on, and all three links are UP, ${later(resumed, Date.now())}`);
}
