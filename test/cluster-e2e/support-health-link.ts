import { create } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { BindState, HealthReportSchema, type HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import type { Cluster, Pod } from "../cluster/cluster.ts";
import { adminOf } from "./support-clients.ts";
import { enableOperator } from "./support-routed-operator.ts";

/** A link that wants one bind, and what a connector has to know of it. */
export interface HealthLink {
  readonly operatorId: string;
  readonly operatorUid: string;
  readonly connectionId: string;
  readonly credentialId: string;
  readonly bindEtag: string;
}

/** Makes it, enabled, over this pod. */
export async function enableLink(
  cluster: Cluster,
  pod: Pod,
  operatorId: string,
  network = "26201",
): Promise<HealthLink> {
  const admin = () => adminOf(pod, cluster, 20_000);
  await enableOperator(admin, operatorId, network);
  const { operator } = await admin().getOperator({ operatorId });
  const main = operator?.connections["main"];
  const credentialId = main?.credential?.active?.id;
  if (operator === undefined || main === undefined || credentialId === undefined) {
    throw new Error(`${operatorId} is not enabled`);
  }
  return { operatorId, operatorUid: operator.uid, connectionId: "main", credentialId, bindEtag: main.bindEtag };
}

/** What a node has to say of a link. */
export interface Saying {
  readonly node: string;
  /** `refused`: the vendor refuses the password; `trying`: neither bound nor failed yet. */
  readonly bind: "bound" | "failed" | "refused" | "trying";
  /** The node's clock; that of this process by default. */
  readonly clockMs?: number;
  readonly epoch?: number;
  readonly intervalMs?: number;
  /** Enough to be UP again at once by default. */
  readonly streak?: number;
  readonly flaps?: number;
  /** Segments per second that are left while the vendor throttles. */
  readonly throttledRate?: number;
  /** Temporary errors among 100 segments. */
  readonly errors?: number;
  readonly leaving?: boolean;
}

const STATES = {
  bound: BindState.BOUND,
  failed: BindState.FAILED,
  refused: BindState.FAILED,
  trying: BindState.CONNECTING,
} as const;
/** ESME_RBINDFAIL and ESME_RINVPASWD; SMPP 3.4, 5.1.3. */
const STATUSES = { bound: 0x00, failed: 0x0d, refused: 0x0e, trying: undefined } as const;

export function healthReport(link: HealthLink, saying: Saying): HealthReport {
  const { bind, clockMs = Date.now(), streak = bind === "bound" ? 5 : 0 } = saying;
  const [now, since] = [timestampFromMs(clockMs), timestampFromMs(clockMs - 60_000)];
  const status = STATUSES[bind];
  return create(HealthReportSchema, {
    operatorUid: link.operatorUid,
    operatorId: link.operatorId,
    connectionId: link.connectionId,
    node: saying.node,
    epoch: BigInt(saying.epoch ?? 1),
    interval: durationFromMs(saying.intervalMs ?? 10_000),
    reportTime: now,
    leaving: saying.leaving ?? false,
    goodStreak: streak,
    flaps: saying.flaps ?? 0,
    ...(bind === "bound" && { lastGoodTime: now }),
    binds: [
      {
        role: BindRole.TRX,
        endpointId: "a",
        credentialId: link.credentialId,
        bindEtag: link.bindEtag,
        state: STATES[bind],
        since,
        ...(bind === "bound" ? { boundSince: since, enquireLinksAnswered: 5 } : { unboundSince: since }),
        ...(status !== undefined && { lastBindStatus: status }),
      },
    ],
    quality: {
      segments: { ok: 100 - (saying.errors ?? 0), temporary: saying.errors ?? 0 },
      ...(saying.throttledRate !== undefined && { throttledRate: saying.throttledRate }),
    },
  });
}
