import { bindErrorClass } from "@operator-management/client";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState, type BindStatus } from "@operator-management/contract/ops/v1/health_pb.js";
import { BindErrorClass } from "@operator-management/contract/ops/v1/smpp_error_pb.js";
import type { LinkConfig } from "./fold-config.ts";

/** What a reported bind amounts to. */
export interface SeenBind {
  readonly status: BindStatus;
  /**
   * - `up`: bound and alive
   * - `failed`: an attempt failed, or the session was lost
   * - `open`: on the way or waiting, nothing has failed: says nothing yet
   */
  readonly kind: "up" | "failed" | "open";
  /** Made with settings and a credential that are still in force. */
  readonly current: boolean;
  /** Bound with them, now or last: the proof that they work. */
  readonly proof: boolean;
  /** It missed too many enquire_links. */
  readonly lost: boolean;
  /** The vendor refuses a credential that is in force. */
  readonly refused: boolean;
  /** The vendor still holds an earlier session. */
  readonly slotBusy: boolean;
}

/** Judges one bind of a report. */
export function seeBind(status: BindStatus, config: LinkConfig): SeenBind {
  const inForce = (id: string): boolean => id === "" || config.credentialIds.size === 0 || config.credentialIds.has(id);
  const sameSettings = status.bindEtag === "" || config.bindEtag === "" || status.bindEtag === config.bindEtag;
  const current = sameSettings && inForce(status.credentialId);
  const lost = status.enquireLinksMissed >= config.missedLimit;
  const up = status.state === BindState.BOUND && !lost;
  // What the vendor answered belongs to this credential only once the attempt is over.
  const over = status.state === BindState.BOUND || status.state === BindState.FAILED;
  const answer = status.lastBindStatus;
  const answered = answer === undefined || answer === 0 ? undefined : bindErrorClass(answer, config.bindErrors);
  const { rejectedCredentialId } = status;
  const refused =
    !up &&
    sameSettings &&
    ((over && answered === BindErrorClass.AUTH && inForce(status.credentialId)) ||
      (rejectedCredentialId !== "" && config.credentialIds.has(rejectedCredentialId)));
  // A state that only a newer version knows says nothing.
  const trying = status.state === BindState.CONNECTING || status.state === BindState.BINDING;
  const again = trying && answered !== BindErrorClass.AUTH;
  const failed =
    lost || status.state === BindState.FAILED || refused || (again && (answered !== undefined || status.detail !== ""));
  return {
    status,
    kind: up ? "up" : failed ? "failed" : "open",
    current,
    proof: current && status.credentialId !== "" && answer === 0 && over,
    lost: !up && lost,
    refused,
    slotBusy: !up && answered === BindErrorClass.SLOT_BUSY,
  };
}

export function canSend(role: BindRole): boolean {
  return role === BindRole.TRX || role === BindRole.TX;
}

export function canReceive(role: BindRole): boolean {
  return role === BindRole.TRX || role === BindRole.RX;
}
