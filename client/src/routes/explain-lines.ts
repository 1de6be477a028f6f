import { timestampDate, type Timestamp } from "@bufbuild/protobuf/wkt";
import { OperationalStateSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import { QualityGrade, QualityGradeSchema } from "@operator-management/contract/ops/v1/quality_pb.js";
import {
  CoverageKind,
  NoRouteReason,
  RouteReason,
  RouteReasonSchema,
  type Route,
  type RouteMatch,
  type RouteResult,
} from "@operator-management/contract/ops/v1/route_pb.js";

/** An answer in words: why there is no route, a line per route, best first, then a line per link left out, as far as the answer has them. */
export function explainLines(result: RouteResult): string[] {
  const lines = result.routes.map(routeLine);
  if (result.noRoute === NoRouteReason.NO_COVERAGE) lines.push("no route: no link has a coverage entry that matches");
  else if (result.routes.length === 0) lines.push("no route: every link that matches is left out");
  for (const { operatorId, connectionId, reasons } of result.excluded) {
    lines.push(`not ${operatorId}/${connectionId}: ${reasons.map(reasonText).join("; ")}`);
  }
  if (result.excludedOmitted > 0) lines.push(`and ${result.excludedOmitted} more links that are left out`);
  return lines;
}

function routeLine(route: Route): string {
  const { effectiveWeight, weight, limit, currentLimit, holders } = route;
  const parts = [
    `tier ${route.tier}`,
    `priority ${route.priority}`,
    weight === effectiveWeight ? `weight ${weight}` : `weight ${weight}, after health ${effectiveWeight}`,
    matchText(route.matched),
    stateText(route),
  ];
  if (limit > 0) parts.push(currentLimit < limit ? `${currentLimit} of ${limit} segments/s` : `${limit} segments/s`);
  if (holders.length > 0) parts.push(`on ${holders.join(", ")}`);
  if (route.lastResort) parts.push(`last resort: ${route.reasons.map(reasonText).join("; ")}`);
  return `${route.rank}. ${route.operatorId}/${route.connectionId}: ${parts.join(", ")}`;
}

function matchText(match: RouteMatch | undefined): string {
  switch (match?.kind) {
    case CoverageKind.MCCMNC:
      return `network ${match.value}`;
    case CoverageKind.PREFIX:
      return `prefix ${match.value}`;
    case CoverageKind.MCC:
      return `country ${match.value}`;
    case CoverageKind.ANY:
      return "any destination";
    default:
      return "matched by what this version doesn't know";
  }
}

function stateText({ state, grade, since }: Route): string {
  const name = OperationalStateSchema.value[state]?.localName ?? String(state);
  const judged = grade !== QualityGrade.UNSPECIFIED && grade !== QualityGrade.GOOD;
  const quality = judged ? ` (${(QualityGradeSchema.value[grade]?.localName ?? String(grade)).toLowerCase()})` : "";
  return `${name}${quality}${since === undefined ? "" : ` since ${timeText(since)}`}`;
}

/** Without what toISOString throws at. */
function timeText(time: Timestamp): string {
  const date = timestampDate(time);
  return Number.isNaN(date.getTime()) ? "?" : date.toISOString();
}

const TEXTS: ReadonlyMap<RouteReason, string> = new Map([
  [RouteReason.NO_COVERAGE, "no coverage entry matches"],
  [RouteReason.COVERAGE_DENIED, "a coverage entry denies it"],
  [RouteReason.ADMIN_DRAFT, "in draft"],
  [RouteReason.TESTING, "in testing, which takes only messages that name the link"],
  [RouteReason.DRAINING, "draining"],
  [RouteReason.MAINTENANCE, "in maintenance"],
  [RouteReason.DISABLED, "disabled"],
  [RouteReason.OPERATOR_STATE, "by its operator's state"],
  [RouteReason.NO_CREDENTIAL, "no credential is stored"],
  [RouteReason.WEIGHT_ZERO, "its weight is 0"],
  [RouteReason.CAPABILITY_SENDER, "it can't carry this kind of sender"],
  [RouteReason.CAPABILITY_UNICODE, "it can't carry text beyond the GSM alphabet"],
  [RouteReason.CAPABILITY_RECEIPTS, "it brings no receipts"],
  [RouteReason.CAPABILITY_SEGMENTS, "it carries fewer segments per message"],
  [RouteReason.EXCLUDED_BY_CALLER, "the query excludes it"],
  [RouteReason.STATE_UNKNOWN_HERE, "in an admin state that this version doesn't know"],
  [RouteReason.STATE_DOWN, "down"],
  [RouteReason.NO_TX_BIND, "no bind that can send"],
  [RouteReason.AUTH_FAILED, "the vendor refuses the credential"],
]);

/** The reason's name, which people search for, and what it means. */
function reasonText(reason: RouteReason): string {
  const name = RouteReasonSchema.value[reason]?.localName ?? String(reason);
  const text = TEXTS.get(reason);
  return text === undefined ? name : `${name} (${text})`;
}
