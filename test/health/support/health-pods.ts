import { create, toBinary, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs, timestampFromDate, timestampFromMs } from "@bufbuild/protobuf/wkt";
import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { CredentialState } from "@operator-management/contract/ops/v1/credential_pb.js";
import { BindState, HealthReportSchema, type HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import { OperatorKind, OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import type { Bus } from "../../../src/backends/bus/bus.ts";
import { Catalog } from "../../../src/catalog/catalog.ts";
import { entryOf } from "../../../src/catalog/entry.ts";
import { Ring } from "../../../src/catalog/ring.ts";
import { TransitionRecorder } from "../../../src/health/recorder.ts";
import { consumeReports } from "../../../src/health/report-consumer.ts";
import { reportSubject } from "../../../src/health/subjects.ts";
import { HealthTracker } from "../../../src/health/tracker.ts";

export const store = new Uint8Array(16).fill(7);
export const credentialId = "0b6f5f0e-4d55-4d5c-9a3c-0d9f3a9b4f11";

/** An enabled operator with one connection, `main`, of two transceiver binds. */
export function linkedOperator(id: string, init: MessageInitShape<typeof OperatorSchema> = {}): Operator {
  return create(OperatorSchema, {
    id,
    uid: uidOf(id),
    kind: OperatorKind.AGGREGATOR,
    adminState: AdminState.ENABLED,
    connections: {
      main: {
        endpoints: { a: { host: "smpp.example", port: 2775 } },
        binds: [{ role: BindRole.TRX, count: 2 }],
        throughput: { maxSegmentsPerSecond: 50 },
        adminState: AdminState.ENABLED,
        effectiveState: AdminState.ENABLED,
        credential: { active: { id: credentialId, version: 1, systemId: "acme", state: CredentialState.ACTIVE } },
      },
    },
    ...init,
  });
}

/** The same for the same id. */
export function uidOf(id: string): string {
  const digits = Buffer.from(id).toString("hex").padEnd(12, "0").slice(0, 12);
  return `00000000-0000-4000-8000-${digits}`;
}

/** What a node that holds `bound` of the operator's two binds says of `main`. */
export function reportOf(
  operator: Pick<Operator, "id" | "uid">,
  node: string,
  bound: number,
  init: MessageInitShape<typeof HealthReportSchema> = {},
): HealthReport {
  const since = timestampFromMs(Date.now() - 60_000);
  return create(HealthReportSchema, {
    operatorUid: operator.uid,
    operatorId: operator.id,
    connectionId: "main",
    node,
    epoch: 1n,
    interval: durationFromMs(5_000),
    binds: Array.from({ length: 2 }, (_, index) => ({
      role: BindRole.TRX,
      index,
      endpointId: "a",
      credentialId,
      since,
      ...(index < bound
        ? { state: BindState.BOUND, boundSince: since, lastBindStatus: 0, enquireLinksAnswered: 5 }
        : { state: BindState.FAILED, unboundSince: since }),
    })),
    goodStreak: bound > 0 ? 10 : 0,
    ...(bound > 0 && { lastGoodTime: timestampFromDate(new Date()) }),
    ...init,
  });
}

export async function publishReport(bus: Bus, report: HealthReport): Promise<number> {
  const { signal } = new AbortController();
  return bus.publish(reportSubject(report, report.node), toBinary(HealthReportSchema, report), { signal });
}

/** The health part of one process of the service, on a bus that others share. */
export interface HealthPod {
  readonly catalog: Catalog;
  readonly tracker: HealthTracker;
  readonly recorder: TransitionRecorder;
  /** Sets the operators that there are, at a next revision. */
  setOperators(...operators: readonly Operator[]): void;
  close(): Promise<void>;
}

export interface HealthPodOptions {
  readonly now?: () => Date;
  readonly maxDelayMs?: number;
  /** Whether it takes part in consuming reports. Default: true. */
  readonly consumes?: boolean;
}

export function startHealthPod(bus: Bus, operators: readonly Operator[], options: HealthPodOptions = {}): HealthPod {
  const now = options.now ?? ((): Date => new Date());
  const logger = { error: (...said: unknown[]) => console.error(said), warn: () => undefined };
  const catalog = new Catalog();
  let revision = 0n;
  const setOperators = (...all: readonly Operator[]): void => {
    revision++;
    const entries = new Map(all.map((each) => [each.id, entryOf(toBinary(OperatorSchema, each))!]));
    const fingerprint = new Uint8Array(32).fill(Number(revision));
    catalog.replace({ entries, ring: new Ring({ store, revision, fingerprint }), damaged: [] });
  };
  setOperators(...operators);
  const tracker = new HealthTracker({ bus, catalog, knownNodes: new Set(), logger, now });
  const recorder = new TransitionRecorder({
    bus,
    tracker,
    catalog,
    logger,
    now,
    ...(options.maxDelayMs !== undefined && { maxDelayMs: options.maxDelayMs }),
  });
  const consumption =
    options.consumes === false ? undefined : consumeReports({ bus, tracker, recorder, onReport: () => undefined });
  return {
    catalog,
    tracker,
    recorder,
    setOperators,
    close: async () => {
      await consumption?.close();
      await recorder.close();
      await tracker.close();
    },
  };
}
