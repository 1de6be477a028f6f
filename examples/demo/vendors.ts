import { randomBytes } from "node:crypto";
import type { MessageInitShape } from "@bufbuild/protobuf";
import { BindRole, EndpointPolicy } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { OperatorKind, ContactRole, type OperatorSchema } from "@operator-management/contract/ops/v1/operator_pb.js";
import { TlvType } from "@operator-management/contract/ops/v1/submit_pb.js";

/** An account at a vendor: what its sheet says, what we configure, and what the simulator is told. */
export interface Vendor {
  readonly operatorId: string;
  readonly connectionId: string;
  /** What kind of manual it is modelled on. */
  readonly story: string;
  readonly systemId: string;
  readonly password: string;
  readonly systemType?: string;
  readonly maxBinds: number;
  readonly operator: MessageInitShape<typeof OperatorSchema>;
  readonly networks: number;
}

/** Ports of the simulator, one per endpoint of a vendor. */
export interface VendorPorts {
  readonly acme: number;
  readonly solaTx: number;
  readonly solaRx: number;
  readonly hub: number;
}

const seconds = (value: number) => ({ seconds: BigInt(value) });
// Shorter than a vendor's sheet would have it, so that the demo is.
const reconnect = { initial: seconds(1), max: seconds(2) };
const timers = { bind: seconds(2), enquireLink: seconds(5), enquireLinkResponse: seconds(1), missed: 2 };
const throttle = { pause: seconds(1), floorPercent: 10, recoverPercent: 30, recoverInterval: seconds(2) };
/** The thresholds are nearly the defaults; what takes minutes there takes seconds here. */
const healthPolicy = {
  errorRatioWarning: 0.1,
  errorRatioCritical: 0.2,
  goodStreak: 2,
  reportIntervalsUntilUnknown: 2,
  bindsMissingAfter: seconds(15),
  alertHold: seconds(2),
};
/** hub-one is the second choice where another supplier is the first: a smaller share of the messages. */
const SECOND_CHOICE_WEIGHT = 50;
export const acmeNetwork = "26201";
export const solaNetwork = "65501";

/** Three suppliers, in the shapes that public SMPP manuals have. Names and passwords are made up, the latter anew in each run. */
export function vendors(ports: VendorPorts): { acme: Vendor; sola: Vendor; hub: Vendor } {
  return { acme: acme(ports), sola: sola(ports), hub: hub(ports) };
}

function acme(ports: VendorPorts): Vendor {
  return {
    operatorId: "acme-de",
    connectionId: "main",
    story: "two transceivers, 30 messages/s, window 10, wants MCC and MNC as TLVs",
    systemId: "acme01",
    password: password(8),
    maxBinds: 2,
    networks: 1,
    operator: {
      displayName: "Acme Mobilfunk",
      healthPolicy,
      kind: OperatorKind.MNO,
      countries: ["DE"],
      connections: {
        main: {
          systemId: "acme01",
          endpoints: { primary: { host: "127.0.0.1", port: ports.acme } },
          binds: [{ role: BindRole.TRX, count: 2 }],
          maxBinds: 2,
          throughput: { maxSegmentsPerSecond: 30, window: 10 },
          timers,
          throttle,
          reconnect,
          tlvs: [{ tag: "0x1402", type: TlvType.CSTRING, value: { case: "attribute", value: "mccmnc" } }],
          coverage: [{ kind: { case: "mccmnc", value: acmeNetwork } }],
        },
      },
    },
  };
}

function sola(ports: VendorPorts): Vendor {
  return {
    operatorId: "sola-za",
    connectionId: "main",
    story: 'a transmitter and a receiver, each on its own port; system_type must be "cp"; 20/s',
    systemId: "sola-bulk",
    password: password(8),
    systemType: "cp",
    maxBinds: 2,
    networks: 4,
    operator: {
      displayName: "Sola Portal",
      healthPolicy,
      kind: OperatorKind.AGGREGATOR,
      countries: ["ZA"],
      connections: {
        main: {
          systemId: "sola-bulk",
          systemType: "cp",
          endpoints: {
            send: { host: "127.0.0.1", port: ports.solaTx, roles: [BindRole.TX] },
            receive: { host: "127.0.0.1", port: ports.solaRx, roles: [BindRole.RX] },
          },
          binds: [{ role: BindRole.TX }, { role: BindRole.RX }],
          throughput: { maxSegmentsPerSecond: 20, window: 10 },
          timers: { enquireLink: seconds(60), inactivity: seconds(300) },
          reconnect,
          coverage: [solaNetwork, "65502", "65507", "65510"].map((value) => ({ kind: { case: "mccmnc", value } })),
        },
      },
    },
  };
}

/** An aggregator's list names hundreds of networks. Not every one of these pairs is on the air: it is the size that matters here. */
function hub(ports: VendorPorts): Vendor {
  const networks = ["202", "204", "206", "208", "214", "222", "228", "232", "234", "238", "240", "260", "310"].flatMap(
    (mcc) => ["01", "02", "03", "05", "06", "07", "08", "10", "12", "15", "20"].map((mnc) => mcc + mnc),
  );
  return {
    operatorId: "hub-one",
    connectionId: "main",
    story: `an aggregator: ${networks.length + 2} networks, two of them as the others' second choice; at most 2 binds, window 20, a password of 20 characters`,
    systemId: "opsplatform",
    password: password(20),
    maxBinds: 2,
    networks: networks.length + 2,
    operator: {
      displayName: "Hub One",
      healthPolicy,
      kind: OperatorKind.AGGREGATOR,
      connections: {
        main: {
          systemId: "opsplatform",
          endpoints: { ams: { host: "localhost", port: ports.hub } },
          endpointPolicy: EndpointPolicy.ORDERED,
          binds: [{ role: BindRole.TRX, count: 2 }],
          maxBinds: 2,
          throughput: { maxSegmentsPerSecond: 10, window: 20 },
          reconnect,
          coverage: [
            ...networks.map((value) => ({ kind: { case: "mccmnc" as const, value } })),
            ...[acmeNetwork, solaNetwork].map((value) => ({
              kind: { case: "mccmnc" as const, value },
              weight: SECOND_CHOICE_WEIGHT,
            })),
          ],
        },
      },
    },
  };
}

/** For the update that every new supplier gets: whom to call at night. */
export const nightContact = { role: ContactRole.NOC, name: "NOC", phone: "+49 30 5550100" };

export function password(length: number): string {
  return randomBytes(length).toString("base64url").slice(0, length);
}
