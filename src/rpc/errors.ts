import { create, getOption, type DescMessage, type MessageInitShape } from "@bufbuild/protobuf";
import { durationFromMs } from "@bufbuild/protobuf/wkt";
import type { Code } from "@connectrpc/connect";
import { ConnectError } from "@connectrpc/connect";
import {
  BadRequestSchema,
  ErrorInfoSchema,
  PreconditionFailureSchema,
  ResourceInfoSchema,
  RetryInfoSchema,
} from "@operator-management/contract/google/rpc/error_details_pb.js";
import { code as codeOption } from "@operator-management/contract/ops/v1/annotations_pb.js";
import { ErrorReason, ErrorReasonSchema } from "@operator-management/contract/ops/v1/common_pb.js";

/** The `domain` of every ErrorInfo this service sends (AIP-193). */
export const ERROR_DOMAIN = "ops.v1";

/** Longest text of an error, in UTF-16 units. */
const MAX_TEXT = 1_000;

/** How many violations an error lists: gRPC sends them in a trailer, where a few KiB is the limit of many clients. */
const MAX_VIOLATIONS = 100;

/** One field that breaks a rule. `field` is its path as an update mask writes it; `description` says what to do, and never quotes a secret. */
export interface FieldViolation {
  readonly field: string;
  readonly description: string;
}

/** What an error says besides its reason. Whatever varies in `text` belongs in `metadata` too, for programs. */
export interface OpsErrorOptions {
  readonly metadata?: Readonly<Record<string, string>>;
  readonly violations?: readonly FieldViolation[];
  readonly preconditions?: readonly { type: string; subject: string; description: string }[];
  readonly resource?: { readonly type: string; readonly name: string };
  /** When to try again, in milliseconds. */
  readonly retryAfterMs?: number;
  /** Only where a protocol's specification demands another code than the reason's, e.g. NOT_FOUND of gRPC health. */
  readonly code?: Code;
  /** For the log only: Connect never sends it. */
  readonly cause?: unknown;
}

/** The typed error of a failed call: status code from the contract's `(ops.v1.code)`, exactly one ErrorInfo, and details where they apply. */
export function opsError(reason: ErrorReason, text: string, options: OpsErrorOptions = {}): ConnectError {
  const error = new ConnectError(printable(text), options.code ?? codeOf(reason), undefined, undefined, options.cause);
  const add = <D extends DescMessage>(desc: D, value: MessageInitShape<D>): void => {
    error.details.push({ desc, value: create(desc, value) as never });
  };
  add(ErrorInfoSchema, {
    reason: reasonName(reason),
    domain: ERROR_DOMAIN,
    metadata: Object.fromEntries(Object.entries(options.metadata ?? {}).map(([key, value]) => [key, printable(value)])),
  });
  if (options.violations !== undefined && options.violations.length > 0) {
    const fieldViolations = options.violations.slice(0, MAX_VIOLATIONS).map(({ field, description }) => ({
      field: printable(field),
      description: printable(description),
    }));
    add(BadRequestSchema, { fieldViolations });
  }
  if (options.preconditions !== undefined) {
    add(PreconditionFailureSchema, { violations: options.preconditions.map((violation) => ({ ...violation })) });
  }
  if (options.resource !== undefined) {
    add(ResourceInfoSchema, { resourceType: options.resource.type, resourceName: options.resource.name });
  }
  if (options.retryAfterMs !== undefined) {
    add(RetryInfoSchema, { retryDelay: durationFromMs(options.retryAfterMs) });
  }
  return error;
}

/** FIELD_INVALID for one or more fields; the text names the first, the details all of them. */
export function fieldInvalid(violations: readonly FieldViolation[]): ConnectError {
  const [first] = violations;
  const more = violations.length > 1 ? ` (and ${violations.length - 1} more)` : "";
  const text = first === undefined ? "the request is invalid" : `${first.field}: ${first.description}${more}`;
  return opsError(ErrorReason.FIELD_INVALID, text, { violations, metadata: { field: first?.field ?? "" } });
}

/** BUG: a defect of the service. The cause is for the log; the caller learns where to look. */
export function bug(cause: unknown): ConnectError {
  return opsError(ErrorReason.BUG, "a defect of the service; it was logged with this call's x-request-id", { cause });
}

/** A reason's name as ErrorInfo carries it: the enum value's name without its prefix, e.g. `ETAG_MISMATCH`. */
export function reasonName(reason: ErrorReason): string {
  return reasonDescriptor(reason).name.replace(/^ERROR_REASON_/, "");
}

/** The reason that an error of ours carries; undefined for any other error. */
export function reasonOf(error: unknown): ErrorReason | undefined {
  if (!(error instanceof ConnectError)) return undefined;
  const [info] = error.findDetails(ErrorInfoSchema);
  if (info === undefined || info.domain !== ERROR_DOMAIN) return undefined;
  return ErrorReasonSchema.values.find((value) => value.name === `ERROR_REASON_${info.reason}`)?.number;
}

/**
 * Text that every protocol can carry: gRPC refuses lone surrogates in the middle of writing its trailers, and an error must not
 * become as large as the request that it is about.
 */
function printable(text: string): string {
  const short = text.length > MAX_TEXT ? `${text.slice(0, MAX_TEXT - 1)}…` : text;
  // eslint-disable-next-line no-control-regex -- control characters are what it removes
  return short.toWellFormed().replace(/[\u0000-\u001f\u007f]/g, " ");
}

function codeOf(reason: ErrorReason): Code {
  // google.rpc.Code and Connect's Code have the same numbers.
  return getOption(reasonDescriptor(reason), codeOption) as number;
}

function reasonDescriptor(reason: ErrorReason): (typeof ErrorReasonSchema.values)[number] {
  const value = ErrorReasonSchema.value[reason];
  if (value === undefined) throw new Error(`unknown error reason ${String(reason)}`);
  return value;
}
