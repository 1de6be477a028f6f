import type { HealthPolicy } from "@operator-management/contract/ops/v1/health_policy_pb.js";
import { QualityGrade, type SegmentCounts } from "@operator-management/contract/ops/v1/quality_pb.js";

/** The grade by the share of errors, by the policy and its defaults; GOOD for too few answers to judge. Nodes and service judge alike. */
export function errorGrade(segments: SegmentCounts | undefined, policy: HealthPolicy | undefined): QualityGrade {
  const { ok = 0, temporary = 0, permanent = 0, throttled = 0, account = 0, message = 0 } = segments ?? {};
  const answered = ok + temporary + permanent + throttled + account + message;
  const errors = temporary + account;
  // A threshold of 0 is not met without any error.
  if (errors === 0 || answered < (policy?.minimumSegments ?? 50)) return QualityGrade.GOOD;
  // As products: 0.05 of 1,000 is 50, while 50 / 1,000 need not be 0.05.
  if (errors < (policy?.errorRatioWarning ?? 0.05) * answered) return QualityGrade.GOOD;
  return errors < (policy?.errorRatioCritical ?? 0.2) * answered ? QualityGrade.WARNING : QualityGrade.CRITICAL;
}
