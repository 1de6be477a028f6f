import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { until } from "../cluster/until.ts";
import type { LinkPlan, SmppStage } from "./support-smpp-stage.ts";

/** What befalls a link that was UP, how it looks then, and what ends it. */
export interface Fault extends LinkPlan {
  readonly strike: (stage: SmppStage) => unknown;
  /** What every pod says of it, as `healthWords` has it. */
  readonly looks: string;
  readonly mend: (stage: SmppStage) => unknown;
  /** The one transition between UP and UP: the state, and the most severe reason when it was recorded. */
  readonly recorded: string;
}

const BUSY = { maxSegmentsPerSecond: 50 };
const { TRX, TX, RX } = BindRole;

/** The connector that is frozen runs nothing else. */
export const FROZEN = 2;

/** Every reason but those of a refused password, which nobody but a human mends. */
export const FAULTS: readonly Fault[] = [
  {
    id: "binds-missing",
    connector: 0,
    connection: { binds: [{ role: TRX }, { role: TX }] },
    healthPolicy: { bindsMissingAfter: { seconds: 10n } },
    strike: ({ smsc }) => {
      smsc.behave("binds-missing", { binds: { perRole: { transmitter: 0 } } });
      smsc.disconnect("binds-missing", { role: "transmitter" });
    },
    looks: "DEGRADED: BINDS_MISSING, SLOT_BUSY",
    mend: ({ smsc }) => smsc.behave("binds-missing", { binds: null }),
    recorded: "DEGRADED: BINDS_MISSING",
  },
  {
    id: "receiver-down",
    connector: 0,
    connection: { binds: [{ role: TX }, { role: RX }] },
    strike: ({ smsc }) => {
      smsc.behave("receiver-down", { binds: { perRole: { receiver: 0 } } });
      smsc.disconnect("receiver-down", { role: "receiver" });
    },
    looks: "DEGRADED: RECEIVER_DOWN, SLOT_BUSY",
    mend: ({ smsc }) => smsc.behave("receiver-down", { binds: null }),
    recorded: "DEGRADED: RECEIVER_DOWN",
  },
  {
    id: "silent-vendor",
    connector: 0,
    connection: {
      timers: {
        bind: { seconds: 2n },
        enquireLink: { seconds: 5n },
        enquireLinkResponse: { seconds: 1n },
        missed: 3,
      },
    },
    strike: ({ smsc }) => smsc.behave("silent-vendor", { mute: "everything" }),
    looks: "DOWN: ENQUIRE_LINK_MISSED, NO_BIND",
    mend: ({ smsc }) => smsc.behave("silent-vendor", { mute: null }),
    recorded: "DOWN: ENQUIRE_LINK_MISSED",
  },
  {
    id: "slot-busy",
    connector: 1,
    account: { maxBinds: 1 },
    strike: ({ smsc }) => {
      smsc.behave("slot-busy", { binds: { hold: 600 } });
      smsc.disconnect("slot-busy", { dead: true });
    },
    looks: "DOWN: SLOT_BUSY, NO_BIND",
    mend: ({ smsc }) => {
      smsc.behave("slot-busy", { binds: null });
      smsc.releaseHeld("slot-busy");
    },
    recorded: "DOWN: NO_BIND", // before the vendor refused the next try
  },
  {
    id: "throttled",
    connector: 1,
    connection: { throughput: BUSY, throttle: { recoverPercent: 30, recoverInterval: { seconds: 1n } } },
    strike: ({ smsc }) => smsc.behave("throttled", { throttle: { perSecond: 5 } }),
    looks: "THROTTLED: THROTTLED_BY_VENDOR",
    mend: ({ smsc }) => smsc.behave("throttled", { throttle: null }),
    recorded: "THROTTLED: THROTTLED_BY_VENDOR",
  },
  {
    id: "erring",
    connector: 1,
    connection: { throughput: BUSY },
    healthPolicy: { errorRatioWarning: 0.2, errorRatioCritical: 0.2, minimumSegments: 20 },
    strike: ({ smsc }) => smsc.behave("erring", { errors: { ESME_RSYSERR: 0.5 } }),
    looks: "DEGRADED: ERROR_RATE",
    mend: ({ smsc }) => smsc.behave("erring", { errors: null }),
    recorded: "DEGRADED: ERROR_RATE",
  },
  {
    // The first of its two binds is tried at the new port; the other one stays as it is until that has worked.
    id: "moved",
    connector: 1,
    connection: { binds: [{ role: TRX, count: 2 }], timers: { bind: { seconds: 2n } } },
    strike: async ({ admin, ports: { usual, other }, account }) => {
      await until("both binds are up", () => account("moved").sessions.length === 2);
      await admin(1).updateOperator({
        operatorId: "moved",
        operator: { connections: { main: { endpoints: { vendor: { port: other } } } } },
        updateMask: { paths: ["connections.main.endpoints.vendor.port"] },
      });
      await until("one bind has left", () => account("moved").sessions.length === 1);
      if (account("moved").sessions[0]?.port !== usual) throw new Error("the bind that stays should be the old one");
    },
    looks: "UNKNOWN: CONFIG_CHANGED",
    mend: ({ smsc, ports: { other } }) => smsc.setPort("open", other),
    recorded: "UNKNOWN: CONFIG_CHANGED",
  },
  {
    id: "frozen-connector",
    connector: FROZEN,
    healthPolicy: { reportIntervalsUntilUnknown: 2 },
    strike: ({ connectors }) => connectors[FROZEN]?.pause(),
    looks: "UNKNOWN: NO_REPORT",
    mend: ({ connectors }) => connectors[FROZEN]?.resume(),
    recorded: "UNKNOWN: NO_REPORT",
  },
];
