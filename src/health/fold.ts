import { create } from "@bufbuild/protobuf";
import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { errorGrade } from "@operator-management/client";
import {
  ConnectionHealthSchema,
  ObserverHealthSchema,
  OperationalReason,
  OperationalState,
  type ObserverHealth,
} from "@operator-management/contract/ops/v1/health_pb.js";
import { canReceive, canSend } from "./fold-bind.ts";
import { linkConfig, type LinkConfig } from "./fold-config.ts";
import { settle } from "./fold-hysteresis.ts";
import type { Folded, FoldInput, RecordedTransition } from "./fold-input.ts";
import { latestPerNode } from "./fold-latest.ts";
import { observe, type Observer } from "./fold-observer.ts";
import { mergeQualities } from "./fold-quality.ts";
import { judge, judgeAlone, type Verdict } from "./fold-verdict.ts";
import { windowsAt } from "./windows.ts";

export type { Folded, FoldInput, ObservedReport } from "./fold-input.ts";

const { UNKNOWN, UP, DEGRADED, THROTTLED, DOWN, AUTH_FAILED } = OperationalState;

/**
 * The health of one link: a function of the latest report of each node, the configuration, the last recorded transition and the time. Equal
 * input gives equal output, in every process. Never throws for reports and operators that are valid, and is UNKNOWN for a connection that
 * the operator doesn't have.
 */
export function foldConnection({
  operator,
  connectionId,
  reports,
  now,
  recorded,
  withObservers = true,
  knownNodes,
  windows,
}: FoldInput): Folded {
  const connection = Object.hasOwn(operator.connections, connectionId) ? operator.connections[connectionId] : undefined;
  if (connection === undefined) {
    return { health: create(ConnectionHealthSchema, { state: UNKNOWN }), recheckAt: undefined, cause: 0 };
  }
  const at = now.getTime();
  const planned = windows ?? windowsAt(operator, connectionId, now);
  const config = linkConfig(operator, connectionId, connection, at, planned);
  const own = reports.filter(
    ({ report }) => report.operatorUid === operator.uid && report.connectionId === connectionId,
  );
  const observers = latestPerNode(own).map((observed) => observe(observed, config, at));
  const live = observers.filter(({ standing }) => standing === "live");
  const quality = mergeQualities(live.flatMap(({ report }) => report.quality ?? []));
  const grade = errorGrade(quality.segments, config.healthPolicy);
  const verdict = settle(judge(observers, config, at, { grade, recorded }), recorded, observers, {
    config,
    now: at,
    name: `${operator.uid}/${connectionId}`,
  });

  const up = live.flatMap(({ report, binds }) =>
    binds.flatMap(({ kind, status }) => (kind === "up" ? [{ node: report.node, role: status.role }] : [])),
  );
  const senders = up.filter(({ role }) => canSend(role));
  const holders = [...new Set(senders.map(({ node }) => node))];
  const since = sinceOf(verdict, recorded, at);
  const alertsAt = alertTime(verdict, config, since);
  const health = create(ConnectionHealthSchema, {
    state: verdict.state,
    grade: verdict.grade,
    reasons: [...new Set(verdict.reasons)],
    since: since === undefined ? undefined : timestampFromMs(since),
    lastGoodTime: lastGoodTime(observers, recorded, at),
    alerting: alertsAt !== undefined && at >= alertsAt,
    bindsWanted: [...config.wanted.values()].reduce((sum, count) => sum + count, 0),
    bindsBound: up.length,
    transmittersBound: senders.length,
    receiversBound: up.filter(({ role }) => canReceive(role)).length,
    holders,
    currentLimit: currentLimit(live, config, holders),
    observedRate: quality.observedRate,
    observedTime: observers.length === 0 ? undefined : timestampFromMs(Math.max(...observers.map(({ time }) => time))),
    quality,
    currentWindow: planned.current,
    upcomingWindows: planned.upcoming,
    observers: withObservers ? observers.map((observer) => observerHealth(observer, config, at, knownNodes)) : [],
  });
  const moments = [...verdict.changesAt, ...config.changesAt, ...(alertsAt === undefined ? [] : [alertsAt])];
  const next = Math.min(...moments.map(Math.ceil).filter((moment) => moment > at));
  return {
    health,
    recheckAt: Number.isFinite(next) ? new Date(next) : undefined,
    cause: Math.max(0, ...observers.map(({ sequence }) => sequence)),
  };
}

/** The recorded time where nothing changed since; else what the reports tell, not before the recorded one. */
function sinceOf(
  { state, grade, since }: Verdict,
  recorded: RecordedTransition | undefined,
  now: number,
): number | undefined {
  if (recorded === undefined) return since === undefined ? undefined : Math.min(since, now);
  if (recorded.state === state && recorded.grade === grade) return recorded.time.getTime();
  return Math.min(Math.max(since ?? now, recorded.time.getTime()), now);
}

function alertTime({ state, reasons }: Verdict, config: LinkConfig, since: number | undefined): number | undefined {
  const alerts =
    state === DOWN ||
    state === AUTH_FAILED ||
    state === DEGRADED ||
    (state === UNKNOWN && reasons.includes(OperationalReason.NO_REPORT));
  return alerts && !config.maintenance && since !== undefined ? since + config.policy.alertHold : undefined;
}

function lastGoodTime(observers: readonly Observer[], recorded: RecordedTransition | undefined, now: number) {
  const times = observers.flatMap(({ report, binds, time, lasted }) => {
    if (binds.some(({ kind }) => kind === "up")) return [time];
    return report.lastGoodTime ? [Math.min(time, now - lasted(report.lastGoodTime))] : [];
  });
  if (recorded && [UP, DEGRADED, THROTTLED].includes(recorded.state)) times.push(recorded.time.getTime());
  return times.length === 0 ? undefined : timestampFromMs(Math.min(now, Math.max(...times)));
}

/** The nodes' reduced rates; a node that is not throttled has its equal share. */
function currentLimit(live: readonly Observer[], { limit }: LinkConfig, holders: readonly string[]): number {
  if (!live.some(({ report }) => report.quality?.throttledRate !== undefined)) return limit;
  const share = limit / Math.max(1, holders.length);
  const rates = live
    .filter(({ report }) => report.quality?.throttledRate !== undefined || holders.includes(report.node))
    .map(({ report }) => report.quality?.throttledRate ?? share);
  return Math.min(
    limit,
    rates.reduce((sum, rate) => sum + rate, 0),
  );
}

function observerHealth(
  observer: Observer,
  config: LinkConfig,
  now: number,
  knownNodes: FoldInput["knownNodes"],
): ObserverHealth {
  const { report, time } = observer;
  const { state, reasons } = judgeAlone(observer, config, now);
  return create(ObserverHealthSchema, {
    node: report.node,
    state,
    reasons: [...reasons],
    reportTime: timestampFromMs(time),
    leaving: report.leaving,
    knownNode: knownNodes === undefined || knownNodes.has(report.node),
    appliedToken: report.appliedToken,
    binds: report.binds,
    quality: report.quality,
  });
}
