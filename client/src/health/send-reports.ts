import { Code, ConnectError, createContextValues } from "@connectrpc/connect";
import type { HealthReport } from "@operator-management/contract/ops/v1/health_pb.js";
import { background } from "../background.ts";
import type { MeshClient } from "../clients.ts";

/** As many as one call may hold. */
const BATCH_SIZE = 100;
const CALLS_AT_ONCE = 4;

/**
 * Sends reports, a hundred per call, each call for at most `timeoutMs` with its retries. `unheld`: they don't keep the process alive. Never
 * rejects: resolves to how many reports the service dropped, and to what failed.
 */
export async function sendReports(
  client: Pick<MeshClient, "reportHealth">,
  reports: readonly HealthReport[],
  { timeoutMs, unheld }: { readonly timeoutMs: number; readonly unheld: boolean },
): Promise<{ readonly dropped: number; readonly errors: readonly unknown[] }> {
  const batches: HealthReport[][] = [];
  for (let start = 0; start < reports.length; start += BATCH_SIZE) {
    batches.push(reports.slice(start, start + BATCH_SIZE));
  }
  const errors: unknown[] = [];
  let dropped = 0;
  const worker = async (): Promise<void> => {
    for (let batch = batches.shift(); batch !== undefined; batch = batches.shift()) {
      try {
        const contextValues = createContextValues().set(background, unheld);
        const answer = await client.reportHealth({ reports: batch }, { timeoutMs, contextValues });
        dropped += answer.dropped.length;
      } catch (error) {
        // One report that the service can't read must not take the others with it.
        const half = Math.ceil(batch.length / 2);
        if (batch.length > 1 && isInvalid(error)) batches.push(batch.slice(0, half), batch.slice(half));
        else errors.push(error);
      }
    }
  };
  await Promise.all(Array.from({ length: CALLS_AT_ONCE }, worker));
  return { dropped, errors };
}

function isInvalid(error: unknown): boolean {
  return error instanceof ConnectError && error.code === Code.InvalidArgument;
}
