import { randomUUID } from "node:crypto";
import { create, type Message } from "@bufbuild/protobuf";
import type { HandlerContext, ServiceImpl } from "@connectrpc/connect";
import {
  ChangeAdminStateResponseSchema,
  CreateOperatorResponseSchema,
  DeleteOperatorResponseSchema,
  UpdateOperatorResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { retireCredentials } from "../credentials/retire-credentials.ts";
import type { ChangeRequest, History } from "../history/commit.ts";
import { findOperator } from "../history/find-operator.ts";
import { callerOf } from "../rpc/caller.ts";
import { keysLeftDark, requireOtherRoutes } from "./last-route.ts";
import { planAdminState } from "./plan-admin-state.ts";
import { planCreate } from "./plan-create.ts";
import { planDelete } from "./plan-delete.ts";
import { planUpdate } from "./plan-update.ts";
import { changesOf, MAX_REPLY_CHANGES } from "./plan.ts";
import { lastRouteWarnings } from "./warnings.ts";

/** What the mutations of operators need. */
export interface OperatorHandlersDeps {
  readonly history: Pick<History, "change">;
}

/** The mutations of operators: each plans on the newest state, inside the transaction that commits the plan. */
export function operatorHandlers({
  history,
}: OperatorHandlersDeps): Pick<
  ServiceImpl<typeof OperatorAdminService>,
  "createOperator" | "updateOperator" | "deleteOperator" | "changeAdminState"
> {
  return {
    async createOperator(request, context) {
      const change = changeRequest("CreateOperator", request, context);
      const { actor } = change.caller;
      return history.change(change, CreateOperatorResponseSchema, async ({ tx, now }) => {
        const existing = await findOperator(tx, request.operatorId);
        const plan = planCreate(request, existing, randomUUID(), { actor, now });
        const { after: operator, warnings } = plan;
        return {
          changes: changesOf(plan),
          reply: (token) => create(CreateOperatorResponseSchema, { operator, token, warnings }),
        };
      });
    },

    async updateOperator(request, context) {
      const change = changeRequest("UpdateOperator", request, context);
      const { actor } = change.caller;
      return history.change(change, UpdateOperatorResponseSchema, async ({ tx, now }) => {
        const plan = planUpdate(request, await findOperator(tx, request.operatorId), { actor, now });
        const warnings = [...plan.warnings, ...lastRouteWarnings(await keysLeftDark(tx, plan))];
        const { before, after: operator, diff } = plan;
        const changes = diff.slice(0, MAX_REPLY_CHANGES);
        const removed = Object.keys(before?.connections ?? {}).filter((id) => !Object.hasOwn(operator.connections, id));
        return {
          changes: changesOf(plan),
          alsoWrite: (transaction) => retireCredentials(transaction, operator.uid, removed, now),
          reply: (token) => create(UpdateOperatorResponseSchema, { operator, changes, token, warnings }),
        };
      });
    },

    async deleteOperator(request, context) {
      const change = changeRequest("DeleteOperator", request, context);
      return history.change(change, DeleteOperatorResponseSchema, async ({ tx, now }) => {
        const plan = planDelete(request, await findOperator(tx, request.operatorId), { now });
        const { after: operator, warnings } = plan;
        requireOtherRoutes(operator, await keysLeftDark(tx, plan), request.force);
        return {
          changes: changesOf(plan),
          reply: (token) => create(DeleteOperatorResponseSchema, { operator, token, warnings }),
        };
      });
    },

    async changeAdminState(request, context) {
      const change = changeRequest("ChangeAdminState", request, context);
      const { actor } = change.caller;
      return history.change(change, ChangeAdminStateResponseSchema, async ({ tx, now }) => {
        const plan = planAdminState(request, await findOperator(tx, request.operatorId), { actor, now });
        const dark = await keysLeftDark(tx, plan);
        requireOtherRoutes(plan.after, dark, request.force);
        const { after: operator } = plan;
        const warnings = [...plan.warnings, ...lastRouteWarnings(dark)];
        return {
          changes: changesOf(plan),
          reply: (token) => create(ChangeAdminStateResponseSchema, { operator, token, warnings }),
        };
      });
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
