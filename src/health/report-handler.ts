import { create, toBinary } from "@bufbuild/protobuf";
import type { ServiceImpl } from "@connectrpc/connect";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { HealthReportSchema } from "@operator-management/contract/ops/v1/health_pb.js";
import {
  ReportHealthResponseSchema,
  type OperatorService,
} from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { BusUnavailableError, type Bus } from "../backends/bus/bus.ts";
import { mapConcurrently } from "../map-concurrently.ts";
import { opsError } from "../rpc/errors.ts";
import { reportSubject } from "./subjects.ts";
import type { HealthTracker } from "./tracker.ts";

const AT_ONCE = 16;

/** Reports of nodes that don't publish on the bus themselves: published for them, on the same subjects. */
export function reportHealthHandler({
  bus,
  tracker,
}: {
  readonly bus: Pick<Bus, "publish">;
  readonly tracker: Pick<HealthTracker, "entryOf">;
}): Pick<ServiceImpl<typeof OperatorService>, "reportHealth"> {
  return {
    async reportHealth({ reports }, { signal }) {
      const dropped: number[] = [];
      try {
        await mapConcurrently(reports, AT_ONCE, async (report, index) => {
          if (tracker.entryOf(report) === undefined) dropped.push(index);
          else await bus.publish(reportSubject(report, report.node), toBinary(HealthReportSchema, report), { signal });
        });
      } catch (error) {
        if (!(error instanceof BusUnavailableError)) throw error;
        throw opsError(ErrorReason.BUS_UNAVAILABLE, "the bus does not take reports: send the next one when it is due", {
          retryAfterMs: 5_000,
          cause: error,
        });
      }
      return create(ReportHealthResponseSchema, { dropped: dropped.sort((a, b) => a - b) });
    },
  };
}
