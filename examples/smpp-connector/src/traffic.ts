import { submitErrorClass } from "@operator-management/client";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { SubmitErrorClass } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import type { Bind } from "./bind.ts";
import { BindFailedError } from "./bind-failed-error.ts";
import { ESME_ROK, statusName } from "./command-status.ts";
import type { Link } from "./link.ts";
import type { Waiting } from "./outbox.ts";
import { canonicalId } from "./receipt.ts";
import type { SmppSession } from "./session.ts";
import type { PduFields } from "./smpp.ts";

/** How often the links are looked over for a segment that may go, in milliseconds. */
const TICK = 5;

/** The bits of registered_delivery that ask for a receipt of the vendor. SMPP 3.4: 5.2.17. */
const ASKS_FOR_RECEIPT = 0x03;

/** How often the same is told of the same, in milliseconds. */
const TELL_EVERY = 10_000;

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
 * Sends test messages on every ENABLED connection: as many come to its queue as its rate allows, and go as rate, window and vendor let them.
 * What the vendor can't take now goes back to the queue. Returns what stops it.
 */
export function startTraffic(links: () => Iterable<Link>, tell: (who: string, text: string) => void): () => void {
  const told = new Map<string, number>();
  const rarely = (who: string, text: string): void => {
    const key = `${who} ${text}`;
    if (Date.now() - (told.get(key) ?? 0) < TELL_EVERY) return;
    told.set(key, Date.now());
    tell(who, text);
  };
  const timer = setInterval(() => {
    for (const link of links()) {
      const { outbox, config, rate, monitor } = link;
      if (config.effectiveState === AdminState.ENABLED) {
        outbox.produce(rate.rate ?? 0, Date.now());
        for (const bind of link.binds) sendOn(link, bind, (text) => rarely(bind.name, text));
      }
      monitor.queue(outbox.depth, outbox.oldestAt);
      monitor.throttled(rate.throttledRate);
    }
  }, TICK);
  return () => clearInterval(timer);
}

function sendOn(link: Link, bind: Bind, tell: (text: string) => void): void {
  const { session } = bind;
  if (!session?.isOpen || bind.slot.role === BindRole.RX) return;
  const { outbox, rate } = link;
  while (outbox.depth > 0 && session.unanswered < rate.window && rate.take(bind.endpointId, bind.name) === 0) {
    const next = outbox.take();
    if (next !== undefined) void send(link, session, next, tell);
  }
}

async function send(link: Link, session: SmppSession, sent: Waiting, tell: (text: string) => void): Promise<void> {
  const { monitor, outbox, book, config } = link;
  const fields = submitFields(config);
  const receiptAsked = ((fields.registered_delivery ?? 0) & ASKS_FOR_RECEIPT) !== 0;
  const sentAt = monitor.sent();
  try {
    const { status, messageId } = await session.submit(fields);
    monitor.answered(sentAt, status, { receiptAsked });
    if (status === ESME_ROK) {
      outbox.outcome.taken += 1;
      if (receiptAsked) book.expect(canonicalId(messageId, config.receipts?.submitId, config.receipts), sentAt);
    } else refused(link, status, sent, tell);
  } catch (error) {
    // The session ended or the vendor didn't answer: whether it was delivered is unknown, and it was a test.
    if (!(error instanceof BindFailedError)) throw error;
    monitor.unanswered();
    outbox.outcome.unknown += 1;
    tell(`a message's fate is unknown: ${error.message}`);
  }
}

function refused({ config, outbox, rate }: Link, status: number, sent: Waiting, tell: (text: string) => void): void {
  const { errorClass } = submitErrorClass(status, config.submitErrors);
  if (errorClass === SubmitErrorClass.THROTTLED) {
    if (!rate.isPaused) tell(`the vendor throttles (${statusName(status)}): slowing down`);
    rate.throttled();
    return outbox.putBack(sent);
  }
  tell(`a message was refused (${statusName(status)})`);
  if (errorClass === SubmitErrorClass.TEMPORARY) return outbox.putBack(sent);
  outbox.outcome.refused += 1;
}

/** As the operator's `submit` says. */
function submitFields({ submit }: Connection): PduFields {
  return {
    ...message,
    service_type: submit?.serviceType ?? "",
    protocol_id: submit?.protocolId ?? 0,
    priority_flag: submit?.priorityFlag ?? 0,
    esm_class: submit?.esmClass ?? 0,
    registered_delivery: submit?.registeredDelivery ?? 1,
  };
}
