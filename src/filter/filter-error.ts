import type { ConnectError } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { opsError } from "../rpc/errors.ts";

/** FILTER_INVALID. `offset` counts UTF-16 units from 0 where the trouble begins; people and metadata get it counted from 1. */
export function filterInvalid(offset: number, text: string): ConnectError {
  const description = `at position ${offset + 1}: ${text}`;
  return opsError(ErrorReason.FILTER_INVALID, `filter, ${description}`, {
    violations: [{ field: "filter", description }],
    metadata: { field: "filter", position: String(offset + 1) },
  });
}
