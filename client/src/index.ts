export { bindErrorClass } from "./bind-error-class.ts";
export { singleAttempt, withCallPolicy, type CallPolicy } from "./call-policy.ts";
export {
  candidates,
  rotationWindow,
  type CredentialCandidate,
  type CredentialCandidates,
  type TryLimit,
} from "./candidates.ts";
export { OperatorCatalog } from "./catalog.ts";
export type { CatalogEvents, CatalogOptions, CatalogStatus } from "./catalog-options.ts";
export { CatalogError, type CatalogErrorReason } from "./catalog-error.ts";
export type { CatalogConnection, ConnectionRef } from "./catalog-state.ts";
export {
  createAdminClient,
  createMeshClient,
  type AdminClient,
  type ClientOptions,
  type MeshClient,
} from "./clients.ts";
export { Credentials, type Credential, type CredentialsOptions } from "./credentials.ts";
export { HealthFollower, type HealthFollowerOptions, type HealthStatus } from "./health-follower.ts";
export { Routes, type Resolution, type RoutesOptions } from "./routes.ts";
export type { SnapshotStore } from "./snapshot-saver.ts";
export { opsMetadata, opsReason, retryAfterMs, violations } from "./errors.ts";
export { diffMessages, type DiffOptions } from "./field-diff.ts";
export {
  HealthReporter,
  type HealthClock,
  type HealthReporterOptions,
  type HealthReporterStatus,
} from "./health-reporter.ts";
export { errorGrade } from "./health/error-grade.ts";
export type { LinkMonitor, MonitoredLink } from "./health/link-monitor.ts";
export type { SubmittedMessage } from "./health/quality-meter.ts";
export type { Logger } from "./logger.ts";
export type { CatalogEvent, CatalogRef, Revision } from "./revision.ts";
export { explainLines } from "./routes/explain-lines.ts";
export type { HealthView } from "./routes/health-view.ts";
export { pick } from "./routes/pick.ts";
export { RouteIndex } from "./routes/route-index.ts";
export { Secret } from "./secret.ts";
export { commandStatusNumber } from "./command-status.ts";
export { submitErrorClass, type SubmitVerdict } from "./submit-error-class.ts";
export { NodeReporter, type NodeReporterOptions } from "./status-reporter.ts";
export { decodeToken, encodeToken, type Position } from "./token.ts";
export type { ResyncReason } from "./reconnect.ts";
