import { create, toBinary } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import {
  BatchGetConnectionCredentialsResponse_ResultSchema as ResultSchema,
  BatchGetConnectionCredentialsResponseSchema,
  GetConnectionCredentialResponseSchema,
  type BatchGetConnectionCredentialsResponse_Result as Result,
  type ConnectionSecret,
  type GetConnectionCredentialRequest,
  type OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import type { AuditQueue } from "../audit/audit-queue.ts";
import { auditRecord } from "../audit/audit-record.ts";
import { callerOf, requestIdKey } from "../rpc/caller.ts";
import { reasonOf } from "../rpc/errors.ts";
import { MAX_REPLY_BYTES } from "../rpc/paging.ts";
import { readCredential, type CredentialReaderDeps } from "./credential-reader.ts";
import { mapConcurrently } from "../map-concurrently.ts";

const MAX_READS_AT_ONCE = 10;

/** What the handlers need. */
export interface CredentialReadDeps extends CredentialReaderDeps {
  readonly audit: Pick<AuditQueue, "add">;
  readonly now: () => Date;
}

/** The mesh's reads of secrets. Every one is audited, granted or not; none waits for the audit. */
export function credentialReadHandlers(
  deps: CredentialReadDeps,
): Pick<ServiceImpl<typeof OperatorService>, "getConnectionCredential" | "batchGetConnectionCredentials"> {
  const read = auditedRead(deps);
  return {
    async getConnectionCredential(request, context) {
      const secret = await read("GetConnectionCredential", request, "minimum_token", context);
      return create(GetConnectionCredentialResponseSchema, { secret });
    },

    async batchGetConnectionCredentials({ requests }, context) {
      const results = await mapConcurrently(requests, MAX_READS_AT_ONCE, async (request, index) => {
        const tokenPath = `requests[${index}].minimum_token`;
        try {
          return secretResult(await read("BatchGetConnectionCredentials", request, tokenPath, context));
        } catch (error) {
          context.signal.throwIfAborted();
          const reason = reasonOf(error);
          if (reason === undefined) throw error; // a defect fails the call, so that it is logged
          return errorResult(reason);
        }
      });
      return create(BatchGetConnectionCredentialsResponseSchema, { results: withinReply(results) });
    },
  };
}

function auditedRead({ audit, now, ...deps }: CredentialReadDeps) {
  return async (
    method: string,
    request: GetConnectionCredentialRequest,
    tokenPath: string,
    context: HandlerContext,
  ): Promise<ConnectionSecret> => {
    const { operatorId, connectionId, credentialId } = request;
    const call = {
      caller: callerOf(context),
      method,
      target: `operators/${operatorId}/connections/${connectionId}/credentials/${credentialId}`,
      requestId: context.values.get(requestIdKey),
    };
    try {
      const secret = await readCredential(deps, request, tokenPath, context.signal);
      audit.add(auditRecord({ ...call, time: now() }));
      return secret;
    } catch (error) {
      audit.add(auditRecord({ ...call, error, time: now() }));
      throw error;
    }
  };
}

/** What no longer fits is an error of its entry; asked for again, alone or with fewer, it fits. */
function withinReply(results: readonly Result[]): Result[] {
  let room = MAX_REPLY_BYTES;
  return results.map((result) => {
    room -= toBinary(ResultSchema, result).length + 4; // and its tag and length
    return room >= 0 ? result : errorResult(ErrorReason.MESSAGE_TOO_LARGE);
  });
}

function secretResult(secret: ConnectionSecret): Result {
  return create(ResultSchema, { result: { case: "secret", value: secret } });
}

function errorResult(reason: ErrorReason): Result {
  return create(ResultSchema, { result: { case: "error", value: reason } });
}
