import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { healthWords, later, untilHealth, untilUp } from "../health.ts";
import { expectFirst, routesTo, tellRoutes } from "../routes.ts";
import type { Stage } from "../stage.ts";
import { acmeNetwork } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** What the vendor takes, in messages per second; the sheet says more. */
const TAKEN_RATE = 20;

/** A vendor throttles: the connector slows down, and the link's weight with it. */
export async function throttle(stage: Stage, { acme }: Cast): Promise<void> {
  const { narrator } = stage;
  narrator.section(
    "A link is throttled: the connector slows down, and fewer messages are sent its way",
    `acme-de's SMSC answers ESME_RTHROTTLED from ${TAKEN_RATE} messages/s on. What it refuses is sent again later.`,
  );
  const before = await expectFirst(stage, acmeNetwork, acme.operatorId);
  const { totals } = await stage.account(acme.systemId);
  const set = { throttle: { perSecond: TAKEN_RATE } };
  await stage.vendorDoes({ do: "behave", account: acme.systemId, set });
  const begin = Date.now();
  const { health, time } = await untilHealth(stage, acme, "THROTTLED", ({ state, reasons }) => {
    return state === OperationalState.THROTTLED && reasons.includes(OperationalReason.THROTTLED_BY_VENDOR);
  });
  narrator.proven(`${healthWords(health)}, ${later(begin, time)}`);
  const during = await routesTo(stage, acmeNetwork);
  tellRoutes(stage, acmeNetwork, during);
  const [route] = during.result.routes.filter(({ operatorId }) => operatorId === acme.operatorId);
  expectThat(route !== undefined && route.effectiveWeight < route.weight, "acme-de's weight should be reduced");
  const [share = 0, shareBefore = 0] = [during, before].map(({ shares }) => shares.get(acme.operatorId));
  expectThat(share < shareBefore, "acme-de should get fewer messages than before");
  narrator.proven(
    `${route.currentLimit.toFixed(0)} of ${route.limit}/s for now: acme-de gets ${share} messages instead of ${shareBefore}`,
  );

  await stage.vendorDoes({ do: "behave", account: acme.systemId, set: { throttle: null } });
  const { submits } = (await stage.account(acme.systemId)).totals;
  const refused = (submits.ESME_RTHROTTLED ?? 0) - (totals.submits.ESME_RTHROTTLED ?? 0);
  narrator.say(`the vendor takes everything again; it refused ${refused} messages, which went back to the queue`);
  const recovering = Date.now();
  const up = await untilUp(stage, acme);
  narrator.proven(`acme-de is UP again, at its full rate, ${later(recovering, up.time)}`);
  await expectFirst(stage, acmeNetwork, acme.operatorId);
}
