import type { ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { callerOf } from "../rpc/caller.ts";
import { credentialStatus, type CredentialStatusDeps } from "./credential-status.ts";
import { setCredential, type SetCredentialDeps } from "./set-credential.ts";

/** The admins' side of credentials: write-only. */
export function credentialHandlers(
  deps: SetCredentialDeps & CredentialStatusDeps,
): Pick<ServiceImpl<typeof OperatorAdminService>, "setConnectionCredential" | "getCredentialStatus"> {
  return {
    async setConnectionCredential(request, context) {
      const { reason, requestId, validateOnly } = request;
      return setCredential(deps, request, {
        caller: callerOf(context),
        method: "SetConnectionCredential",
        reason,
        requestId,
        message: request,
        validateOnly,
        signal: context.signal,
      });
    },

    async getCredentialStatus(request, context) {
      return credentialStatus(deps, request, context.signal);
    },
  };
}
