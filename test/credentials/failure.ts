import type { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { reasonOf } from "../../src/rpc/errors.ts";

/** Why a call failed and all the text of its error; empty if it did not fail. */
export async function failure(call: Promise<unknown>): Promise<{ reason: ErrorReason | undefined; text: string }> {
  const error: unknown = await call.then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  return { reason: reasonOf(error), text: error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : "" };
}
