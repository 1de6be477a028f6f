import { create } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { encodeToken, type Position } from "@operator-management/client";
import {
  VerifyHistoryResponseSchema,
  type OperatorAdminService,
} from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import type { Database } from "../db/db.ts";
import { typedDatabaseError } from "../rpc/database-unavailable.ts";
import { verifyHistory } from "./verify.ts";

/** VerifyHistory: damage is its answer, not an error. */
export function verifyHandler({
  db,
}: {
  readonly db: Database;
}): Pick<ServiceImpl<typeof OperatorAdminService>, "verifyHistory"> {
  return {
    async verifyHistory(_request, { signal }) {
      try {
        const { problems, revisions, operators, position } = await verifyHistory(db, signal);
        return create(VerifyHistoryResponseSchema, {
          valid: problems.length === 0,
          problems: [...problems],
          revisions,
          operators,
          headFingerprint: Buffer.from(position?.fingerprint ?? []).toString("hex"),
          token: tokenOf(position),
        });
      } catch (error) {
        throw typedDatabaseError(error);
      }
    },
  };
}

/** Empty for a head that is gone, or so damaged that no token can hold it. */
function tokenOf(position: Position | undefined): string {
  return position === undefined || position.revision < 0n ? "" : encodeToken(position);
}
