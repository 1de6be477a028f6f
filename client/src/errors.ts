import { durationMs } from "@bufbuild/protobuf/wkt";
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  RetryInfoSchema,
  type BadRequest_FieldViolation,
  type ErrorInfo,
} from "@operator-management/contract/google/rpc/error_details_pb.js";
import { ErrorReason, ErrorReasonSchema } from "@operator-management/contract/ops/v1/common_pb.js";

const DOMAIN = "ops.v1";

/**
 * Why the service refused a call; undefined for anything that the service itself didn't send (a broken connection, a proxy's answer,
 * another error). A reason that is newer than this package is `ErrorReason.UNSPECIFIED`.
 */
export function opsReason(error: unknown): ErrorReason | undefined {
  const info = opsErrorInfo(error);
  if (info === undefined) return undefined;
  const value = ErrorReasonSchema.values.find((each) => each.name === `ERROR_REASON_${info.reason}`);
  return value?.number ?? ErrorReason.UNSPECIFIED;
}

/** What the service added to the reason, by name (e.g. `field`, `etag`); empty for errors that it didn't send. */
export function opsMetadata(error: unknown): Readonly<Record<string, string>> {
  return opsErrorInfo(error)?.metadata ?? {};
}

/** Every field that broke a rule, with its path as an update mask writes it; empty for other errors. */
export function violations(error: unknown): readonly BadRequest_FieldViolation[] {
  if (!(error instanceof ConnectError)) return [];
  return error.findDetails(BadRequestSchema).flatMap((detail) => detail.fieldViolations);
}

/** How long the server asks to wait before the next try, in milliseconds; undefined when it doesn't say. */
export function retryAfterMs(error: unknown): number | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const delay = error.findDetails(RetryInfoSchema)[0]?.retryDelay;
  return delay === undefined ? undefined : Math.max(0, durationMs(delay));
}

function opsErrorInfo(error: unknown): ErrorInfo | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  return error.findDetails(ErrorInfoSchema).find((detail) => detail.domain === DOMAIN);
}
