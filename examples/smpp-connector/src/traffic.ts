import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import type { Bind } from "./bind.ts";
import { ESME_ROK, statusName } from "./command-status.ts";
import type { Link } from "./link.ts";
import { BindFailedError } from "./bind-failed-error.ts";
import type { SmppSession } from "./session.ts";

/** How often the links are looked over for a segment that may go, in milliseconds. */
const TICK = 5;

const message = {
  source_addr_ton: 5,
  source_addr: "TEST",
  dest_addr_ton: 1,
  dest_addr_npi: 1,
  // Country code 999 is nobody's.
  destination_addr: "999000000001",
  short_message: "test",
};

/**
 * Sends test messages on every ENABLED connection, as many as its rate and window allow: what a connector's real traffic would feel
 * of a change. Returns what stops it.
 */
export function startTraffic(links: () => Iterable<Link>, tell: (who: string, text: string) => void): () => void {
  const send = async (bind: Bind, session: SmppSession): Promise<void> => {
    try {
      const status = await session.submit(message);
      if (status !== ESME_ROK) tell(bind.name, `a message was refused (${statusName(status)})`);
    } catch (error) {
      // The session ended or the vendor didn't answer: whether it was delivered is unknown, and it was a test.
      if (!(error instanceof BindFailedError)) throw error;
      tell(bind.name, `a message's fate is unknown: ${error.message}`);
    }
  };
  const timer = setInterval(() => {
    for (const link of links()) {
      if (link.config.effectiveState !== AdminState.ENABLED) continue;
      for (const bind of link.binds) {
        const { session } = bind;
        if (!session?.isOpen || bind.slot.role === BindRole.RX) continue;
        while (session.unanswered < link.rate.window && link.rate.take(bind.endpointId, bind.name) === 0) {
          void send(bind, session);
        }
      }
    }
  }, TICK);
  return () => clearInterval(timer);
}
