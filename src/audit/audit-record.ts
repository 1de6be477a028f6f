import { timestampFromDate } from "@bufbuild/protobuf/wkt";
import { Actor_KindSchema } from "@operator-management/contract/ops/v1/common_pb.js";
import type { Caller } from "../rpc/caller.ts";
import { reasonName, reasonOf } from "../rpc/errors.ts";
import type { AuditRecord } from "./audit-batch.ts";

/** One audited call. */
export interface AuditedCall {
  readonly caller: Caller;
  /** The RPC's name. */
  readonly method: string;
  /** What it was about, e.g. `operators/acme/connections/main`. */
  readonly target: string;
  /** What it failed with; undefined when it succeeded. */
  readonly error?: unknown;
  readonly requestId: string;
  readonly time: Date;
}

/** The record of a call: who, what, and `OK` or the error's reason. Never the error's text. */
export function auditRecord(call: AuditedCall): AuditRecord {
  const { actor } = call.caller;
  const reason = reasonOf(call.error);
  return {
    time: timestampFromDate(call.time),
    actorPrincipal: actor.principal,
    actorKind: (Actor_KindSchema.value[actor.kind]?.name ?? "UNSPECIFIED").replace(/^KIND_/, ""),
    source: actor.source,
    method: call.method,
    target: call.target,
    result: call.error === undefined ? "OK" : reason === undefined ? "BUG" : reasonName(reason),
    requestId: call.requestId,
    detail: {},
  };
}
