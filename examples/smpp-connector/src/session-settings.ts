import { durationMs, type Duration } from "@bufbuild/protobuf/wkt";
import type { Connection } from "@operator-management/contract/ops/v1/connection_pb.js";
import { InterfaceVersion, type Reconnect, type Timers } from "@operator-management/contract/ops/v1/session_pb.js";

/** All in milliseconds. */
export interface SessionTimers {
  readonly connect: number;
  readonly bind: number;
  readonly unbind: number;
  /** Without traffic, an enquire_link is sent. */
  readonly enquireLink: number;
  readonly enquireLinkResponse: number;
  /** Consecutive enquire_links without an answer after which the bind is lost. */
  readonly missed: number;
  /** Without any PDU, the session is closed; 0 never. */
  readonly inactivity: number;
  /** For the answer to a submit_sm. */
  readonly response: number;
}

/** Delays between attempts; milliseconds. */
export interface ReconnectDelays {
  readonly initial: number;
  readonly max: number;
  readonly jitterPercent: number;
}

/** What a bind says about itself besides system_id and password. */
export interface BindParameters {
  readonly systemType: string;
  readonly interfaceVersion: number;
  readonly ton: number;
  readonly npi: number;
  readonly addressRange: string;
}

// The service stores every default on write. Those below are the contract's, for what an older service did not know of.

export function sessionTimers(timers: Timers | undefined): SessionTimers {
  return {
    connect: milliseconds(timers?.connect, 10_000),
    bind: milliseconds(timers?.bind, 10_000),
    unbind: milliseconds(timers?.unbind, 5_000),
    enquireLink: milliseconds(timers?.enquireLink, 30_000),
    enquireLinkResponse: milliseconds(timers?.enquireLinkResponse, 10_000),
    missed: timers?.missed ?? 3,
    inactivity: milliseconds(timers?.inactivity, 300_000),
    response: milliseconds(timers?.response, 60_000),
  };
}

export function reconnectDelays(reconnect: Reconnect | undefined): ReconnectDelays {
  return {
    initial: milliseconds(reconnect?.initial, 5_000),
    max: milliseconds(reconnect?.max, 300_000),
    jitterPercent: reconnect?.jitterPercent ?? 20,
  };
}

export function bindParameters(connection: Connection): BindParameters {
  return {
    systemType: connection.systemType,
    interfaceVersion: connection.interfaceVersion || InterfaceVersion.V3_4,
    ton: connection.bindTon,
    npi: connection.bindNpi,
    addressRange: connection.addressRange,
  };
}

/** Delay before attempt `failures + 1`: doubling from `initial` to `max`, give or take the jitter. `random` is 0 to 1. */
export function reconnectDelay(failures: number, delays: ReconnectDelays, random: number): number {
  const base = Math.min(delays.max, delays.initial * 2 ** Math.min(failures - 1, 30));
  return Math.round(base * (1 + ((random * 2 - 1) * delays.jitterPercent) / 100));
}

function milliseconds(duration: Duration | undefined, otherwise: number): number {
  return duration === undefined ? otherwise : durationMs(duration);
}
