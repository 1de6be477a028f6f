import { errorGrade } from "@operator-management/client";
import type { BindRole } from "@operator-management/contract/ops/v1/endpoint_pb.js";
import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade } from "@operator-management/contract/ops/v1/quality_pb.js";
import { canReceive, canSend, type SeenBind } from "./fold-bind.ts";
import type { LinkConfig } from "./fold-config.ts";
import type { RecordedTransition } from "./fold-input.ts";
import type { Observer } from "./fold-observer.ts";
import { shortfall } from "./fold-shortfall.ts";

/** So long after a node fell silent its binds may still be up: until then its slots are not given away. */
const RECENT_SILENCE_MS = 5 * 60_000;

/** What a set of observers amounts to at one moment, without regard to what it was before. */
export interface Verdict {
  readonly state: OperationalState;
  readonly grade: QualityGrade;
  /** The most severe first. */
  readonly reasons: readonly OperationalReason[];
  /** Since when it holds, as far as the observers tell, in milliseconds; undefined: nothing was ever observed. */
  readonly since: number | undefined;
  /** Moments, in milliseconds, at which time alone may change it. */
  readonly changesAt: readonly number[];
}

/**
 * The rules, each once. `grade` is that of the live observers' figures together. `recorded` serves where reports tell nothing yet, neither a
 * bind nor a failure: then time decides, from the last recorded transition on.
 */
export function judge(
  observers: readonly Observer[],
  config: LinkConfig,
  now: number,
  { grade, recorded }: { readonly grade: QualityGrade; readonly recorded?: RecordedTransition | undefined },
): Verdict {
  const live = observers.filter(({ standing }) => standing === "live");
  const silences = live.map(({ silentAt }) => silentAt);
  const newest = latest(live.map(({ time }) => time));
  if (config.wanted.size === 0)
    return unknown([], newest === undefined ? undefined : Math.min(now, config.wantedSince), []);
  if (live.length === 0) {
    const silent = observers.filter(({ standing }) => standing === "silent").map(({ silentAt }) => silentAt);
    if (silent.length > 0) return unknown([OperationalReason.NO_REPORT], latest(silent), []);
    return unknown([], latest(observers.map(({ time }) => time)), []);
  }
  const binds = live.flatMap((observer) => observer.binds);
  const up = binds.filter(({ kind }) => kind === "up");
  const moment = { config, now, newest, grade, recorded };
  const verdict =
    up.length === 0
      ? withoutBind(observers, binds, moment)
      : up.some(({ current }) => current) || observers.some((observer) => observer.binds.some(({ proof }) => proof))
        ? withBind(observers, { live, binds, up }, moment)
        : unknown([OperationalReason.CONFIG_CHANGED], newest, []);
  return { ...verdict, changesAt: [...verdict.changesAt, ...silences] };
}

/** What one node amounts to by itself: it answers for the binds that it has, not for those that the fleet wants. */
export function judgeAlone(observer: Observer, config: LinkConfig, now: number): Verdict {
  const held = new Map<BindRole, number>();
  for (const { role } of observer.report.binds) held.set(role, (held.get(role) ?? 0) + 1);
  const wanted = config.wanted.size === 0 ? config.wanted : held;
  const grade = errorGrade(observer.report.quality?.segments, config.healthPolicy);
  return judge([observer], { ...config, wanted, wantsReceiver: false }, now, { grade });
}

interface Moment {
  readonly config: LinkConfig;
  readonly now: number;
  readonly newest: number | undefined;
  readonly grade: QualityGrade;
  readonly recorded: RecordedTransition | undefined;
}

function withoutBind(
  observers: readonly Observer[],
  binds: readonly SeenBind[],
  { config, now, newest, recorded }: Moment,
): Verdict {
  const { DOWN, AUTH_FAILED, UNKNOWN } = OperationalState;
  const failed = binds.filter(({ kind, current, refused }) => kind === "failed" && (current || refused));
  const reasons = [...details(failed), OperationalReason.NO_BIND];
  const missed = observers.filter(
    ({ standing, silentAt, binds: held }) =>
      standing === "silent" && now < silentAt + RECENT_SILENCE_MS && held.some(({ kind }) => kind === "up"),
  );
  if (missed.length > 0) {
    const since = latest(missed.map(({ silentAt }) => silentAt));
    const changesAt = missed.map(({ silentAt }) => silentAt + RECENT_SILENCE_MS);
    return unknown([OperationalReason.NO_REPORT, ...reasons], since, changesAt);
  }
  if (failed.length > 0) {
    const refused = failed.filter((bind) => bind.refused);
    const active = refused.some(({ status }) =>
      [status.credentialId, status.rejectedCredentialId].includes(config.activeCredentialId),
    );
    const state = active || refused.length === failed.length ? AUTH_FAILED : DOWN;
    return { state, grade: QualityGrade.CRITICAL, reasons, since: newest, changesAt: [] };
  }
  if (binds.some(({ kind }) => kind === "failed")) return unknown([OperationalReason.CONFIG_CHANGED], newest, []);
  // Nothing is bound and nothing has failed: all binds are on their way, or wait. That is no state to stay in.
  if (recorded?.state === DOWN || recorded?.state === AUTH_FAILED) {
    const { state, grade, reason, time } = recorded;
    return { state, grade, reasons: [reason], since: time.getTime(), changesAt: [] };
  }
  if (recorded?.state === UNKNOWN && recorded.reason === OperationalReason.NO_BIND) {
    const deadline = recorded.time.getTime() + config.policy.bindsMissingAfter;
    if (now < deadline) return unknown(reasons, newest, [deadline]);
    return { state: DOWN, grade: QualityGrade.CRITICAL, reasons, since: deadline, changesAt: [] };
  }
  return unknown(reasons, newest, []);
}

function withBind(
  observers: readonly Observer[],
  { live, binds, up }: { live: readonly Observer[]; binds: readonly SeenBind[]; up: readonly SeenBind[] },
  { config, now, newest, grade: quality, recorded }: Moment,
): Verdict {
  const { ERROR_RATE, RECEIVER_DOWN, BINDS_MISSING, THROTTLED_BY_VENDOR } = OperationalReason;
  const { WARNING, CRITICAL, GOOD } = QualityGrade;
  const missingFor = shortfall(config, observers, now);
  // Once recorded it lasts until enough are up, also where an edit of the configuration makes it look younger.
  const still = recorded?.state === OperationalState.DEGRADED && recorded.reason === BINDS_MISSING;
  const missing = missingFor !== undefined && (still || missingFor >= config.policy.bindsMissingAfter);
  const wantsSender = [...config.wanted.keys()].some(canSend);
  const throttled = live.some(({ report }) => report.quality?.throttledRate !== undefined);
  const cannotSend = missing && wantsSender && !up.some(({ status }) => canSend(status.role));
  const causes = [
    { reason: ERROR_RATE, holds: quality === CRITICAL, grade: CRITICAL },
    // Its first attempt may still be under way.
    {
      reason: RECEIVER_DOWN,
      holds: config.wantsReceiver && !binds.some(({ kind, status }) => kind !== "failed" && canReceive(status.role)),
      grade: WARNING,
    },
    { reason: BINDS_MISSING, holds: missing, grade: cannotSend ? CRITICAL : WARNING },
    { reason: ERROR_RATE, holds: quality === WARNING, grade: WARNING },
  ].filter(({ holds }) => holds);
  const changesAt = missingFor === undefined || missing ? [] : [now + config.policy.bindsMissingAfter - missingFor];
  if (causes.length > 0) {
    const onlyMissing = causes.length === 1 && missing;
    return {
      state: OperationalState.DEGRADED,
      grade: causes.some(({ grade }) => grade === CRITICAL) ? CRITICAL : WARNING,
      reasons: [
        ...causes.map(({ reason }) => reason),
        ...(throttled ? [THROTTLED_BY_VENDOR] : []),
        ...details(binds.filter(({ kind }) => kind !== "up")),
      ],
      since: onlyMissing ? Math.min(now, now - missingFor + config.policy.bindsMissingAfter) : newest,
      changesAt,
    };
  }
  const state = throttled ? OperationalState.THROTTLED : OperationalState.UP;
  return { state, grade: GOOD, reasons: throttled ? [THROTTLED_BY_VENDOR] : [], since: newest, changesAt };
}

/** What is known of why binds are not up, the most severe first. */
function details(binds: readonly SeenBind[]): OperationalReason[] {
  return [
    ...(binds.some(({ refused }) => refused) ? [OperationalReason.AUTH_REJECTED] : []),
    ...(binds.some(({ lost }) => lost) ? [OperationalReason.ENQUIRE_LINK_MISSED] : []),
    ...(binds.some(({ slotBusy }) => slotBusy) ? [OperationalReason.SLOT_BUSY] : []),
  ];
}

function unknown(
  reasons: readonly OperationalReason[],
  since: number | undefined,
  changesAt: readonly number[],
): Verdict {
  return { state: OperationalState.UNKNOWN, grade: QualityGrade.UNSPECIFIED, reasons, since, changesAt };
}

function latest(times: readonly number[]): number | undefined {
  return times.length === 0 ? undefined : Math.max(...times);
}
