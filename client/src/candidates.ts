import { durationMs, timestampMs } from "@bufbuild/protobuf/wkt";
import {
  CredentialState,
  RotationMode,
  RotationRebind,
  type ConnectionCredential,
} from "@operator-management/contract/ops/v1/credential_pb.js";

/** The window of a rotation that doesn't say, in milliseconds. */
const WINDOW_MS = 2 * 3_600_000;

/**
 * How often a login may be tried. BUDGET: 3 tries per 15 min, then one probe per 30 min. SPACED: one try per 5 min, while a vendor may be late
 * with its switch. ONCE: no more once it was refused.
 */
export type TryLimit = "BUDGET" | "SPACED" | "ONCE";

/** A credential version to bind with. */
export interface CredentialCandidate {
  readonly id: string;
  readonly limit: TryLimit;
}

/** What a connector may bind with at a certain time. */
export interface CredentialCandidates {
  /** In the order in which a new bind tries them; empty: none is stored. */
  readonly order: readonly CredentialCandidate[];
  /** When this changes by the clock alone; undefined: only with the configuration. */
  readonly until: Date | undefined;
  /**
   * Which live binds made with another version than the first of `order` are to be re-established. ONE: if none is bound with the first, and
   * a try of it is allowed, one bind, to prove it. ALL: each, one after the other. NONE: they stay.
   */
  readonly rebind: "NONE" | "ONE" | "ALL";
}

/** The versions to bind with at `now`, from a connection's `credential`. Pure: the table of rotation modes. */
export function candidates(credential: ConnectionCredential | undefined, now: Date): CredentialCandidates {
  const active: CredentialCandidate[] =
    credential?.active === undefined ? [] : [{ id: credential.active.id, limit: "BUDGET" }];
  if (credential?.pending?.state !== CredentialState.PENDING) {
    return { order: active, until: undefined, rebind: credential?.rebindOthers ? "ALL" : "NONE" };
  }
  const { id } = credential.pending;
  switch (credential.mode) {
    case RotationMode.BOTH_VALID:
      return { order: [{ id, limit: "ONCE" }, ...active], until: undefined, rebind: "ONE" };
    case RotationMode.SWITCH_AT:
    case RotationMode.REPLACE:
      return aroundSwitch(credential, id, active, now);
    case RotationMode.UNSPECIFIED:
      return { order: active, until: undefined, rebind: "NONE" };
    default:
      credential.mode satisfies never; // of a later release: what is proven goes on
      return { order: active, until: undefined, rebind: "NONE" };
  }
}

function aroundSwitch(
  credential: ConnectionCredential,
  pending: string,
  active: readonly CredentialCandidate[],
  now: Date,
): CredentialCandidates {
  const [start, end] = rotationWindow(credential);
  if (now < start) return { order: active, until: start, rebind: "NONE" };
  const rebind =
    credential.mode === RotationMode.SWITCH_AT && credential.rebind === RotationRebind.AT_SWITCH ? "ONE" : "NONE";
  if (now >= end) return { order: [{ id: pending, limit: "BUDGET" }], until: undefined, rebind };
  const order = [pending, ...active.map(({ id }) => id)].map((id) => ({ id, limit: "SPACED" as const }));
  return { order, until: end, rebind };
}

/** From when to when both versions of a rotation with SWITCH_AT or REPLACE are tried. */
export function rotationWindow({
  mode,
  switchTime,
  startTime,
  window,
}: ConnectionCredential): [start: Date, end: Date] {
  const time = mode === RotationMode.SWITCH_AT ? switchTime : startTime;
  const start = time === undefined ? 0 : timestampMs(time);
  return [new Date(start), new Date(start + (window === undefined ? WINDOW_MS : durationMs(window)))];
}
