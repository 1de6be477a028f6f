import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { healthWords, later, untilHealth, untilUp } from "../health.ts";
import { routesTo, tellRoutes } from "../routes.ts";
import type { Stage } from "../stage.ts";
import { solaNetwork } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** A link loses the bind that receipts come over. */
export async function loseReceiver(stage: Stage, { sola }: Cast): Promise<void> {
  const { narrator } = stage;
  narrator.section(
    "A link loses its receiver: it still sends, but no receipt arrives",
    "sola-za has a transmitter and a receiver. The vendor cuts the receiver and has no room for another.",
  );
  await untilUp(stage, sola);
  const before = await routesTo(stage, solaNetwork);
  tellRoutes(stage, solaNetwork, before);
  await stage.vendorDoes(
    { do: "behave", account: sola.systemId, set: { binds: { perRole: { receiver: 0 } } } },
    { do: "disconnect", account: sola.systemId, role: "receiver" },
  );
  const begin = Date.now();
  const { health, time } = await untilHealth(stage, sola, "without receiver", ({ state, reasons }) => {
    const isReceiverDown = state === OperationalState.DEGRADED && reasons[0] === OperationalReason.RECEIVER_DOWN;
    // The vendor's refusal of the next try, too.
    return isReceiverDown && reasons.includes(OperationalReason.SLOT_BUSY);
  });
  narrator.proven(`${healthWords(health)}, ${later(begin, time)}`);
  expectThat(health.transmittersBound === 1 && health.receiversBound === 0, "the transmitter should still be up");
  const during = await routesTo(stage, solaNetwork);
  tellRoutes(stage, solaNetwork, during);
  const [share = 0, shareBefore = 0] = [during, before].map(({ shares }) => shares.get(sola.operatorId));
  expectThat(share < shareBefore, "sola-za should get fewer messages than before");
  narrator.proven(`sola-za gets ${share} messages instead of ${shareBefore}`);

  await stage.vendorDoes({ do: "behave", account: sola.systemId, set: { binds: null } });
  const recovering = Date.now();
  const up = await untilUp(stage, sola);
  narrator.proven(`the receiver is bound again and sola-za UP, ${later(recovering, up.time)}`);
  const after = await routesTo(stage, solaNetwork);
  tellRoutes(stage, solaNetwork, after);
  expectThat(after.shares.get(sola.operatorId) === shareBefore, "sola-za should get as many messages as before");
}
