import type { Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { ChangeRequest } from "../history/commit.ts";
import { callerOf } from "../rpc/caller.ts";
import { credentialStatus, type CredentialStatusDeps } from "./credential-status.ts";
import { cancelRotation, promoteCredential, type EndRotationDeps } from "./end-rotation.ts";
import { rotateCredential, type RotateCredentialDeps } from "./rotate-credential.ts";
import { setCredential, type SetCredentialDeps } from "./set-credential.ts";

/** The admins' side of credentials: write-only. */
export function credentialHandlers(
  deps: SetCredentialDeps & RotateCredentialDeps & EndRotationDeps & CredentialStatusDeps,
): Pick<
  ServiceImpl<typeof OperatorAdminService>,
  | "setConnectionCredential"
  | "rotateConnectionCredential"
  | "promoteConnectionCredential"
  | "cancelCredentialRotation"
  | "getCredentialStatus"
> {
  return {
    async setConnectionCredential(request, context) {
      return setCredential(deps, request, changeRequest("SetConnectionCredential", request, context));
    },

    async rotateConnectionCredential(request, context) {
      return rotateCredential(deps, request, changeRequest("RotateConnectionCredential", request, context));
    },

    async promoteConnectionCredential(request, context) {
      const call = changeRequest("PromoteConnectionCredential", request, context);
      return promoteCredential(deps.history, request, call);
    },

    async cancelCredentialRotation(request, context) {
      return cancelRotation(deps, request, changeRequest("CancelCredentialRotation", request, context));
    },

    async getCredentialStatus(request, context) {
      return credentialStatus(deps, request, context.signal);
    },
  };
}

/** What every mutation has. */
interface Mutation extends Message {
  readonly reason: string;
  readonly requestId: string;
  readonly validateOnly: boolean;
}

function changeRequest(method: string, message: Mutation, context: HandlerContext): ChangeRequest {
  const { reason, requestId, validateOnly } = message;
  return { caller: callerOf(context), method, reason, requestId, message, validateOnly, signal: context.signal };
}
