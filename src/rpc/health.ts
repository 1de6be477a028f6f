import { EventEmitter, on } from "node:events";
import { create } from "@bufbuild/protobuf";
import { Code, type ServiceImpl } from "@connectrpc/connect";
import {
  HealthCheckResponse_ServingStatus as ServingStatus,
  HealthCheckResponseSchema,
  type Health,
} from "@operator-management/contract/grpc/health/v1/health_pb.js";
import { ErrorReason } from "@operator-management/contract/ops/v1/common_pb.js";
import { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorService } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { opsError } from "./errors.ts";

/** What grpc.health.v1 says. All services of this process serve together or not at all; "" stands for the process. */
export class HealthState {
  readonly services: readonly string[] = ["", OperatorService.typeName, OperatorAdminService.typeName];
  /** Emits `change` after each change. */
  readonly events = new EventEmitter().setMaxListeners(0);
  #serving = false;

  /** The current state. Not serving until `set(true)`. */
  get status(): ServingStatus {
    return this.#serving ? ServingStatus.SERVING : ServingStatus.NOT_SERVING;
  }

  /** Tells everyone who asks or watches. */
  set(serving: boolean): void {
    if (serving === this.#serving) return;
    this.#serving = serving;
    this.events.emit("change");
  }
}

/** The handlers of grpc.health.v1, as its specification has them. */
export function healthHandlers(state: HealthState): ServiceImpl<typeof Health> {
  return {
    check({ service }) {
      if (!state.services.includes(service)) {
        // The specification demands NOT_FOUND, and gives it no reason of ours.
        throw opsError(ErrorReason.METHOD_UNKNOWN, 'no such service; ask for "" or one that reflection lists', {
          code: Code.NotFound,
        });
      }
      return create(HealthCheckResponseSchema, { status: state.status });
    },
    list() {
      return { statuses: Object.fromEntries(state.services.map((name) => [name, { status: state.status }])) };
    },
    async *watch({ service }, { signal }) {
      const known = state.services.includes(service);
      // Listens before the first status is read, so that no change falls in between; the signal ends it with the call.
      const changes = on(state.events, "change", { signal });
      yield create(HealthCheckResponseSchema, { status: known ? state.status : ServingStatus.SERVICE_UNKNOWN });
      for await (const _ of changes) {
        // No service comes up later, so there is no news of an unknown one.
        if (known) yield create(HealthCheckResponseSchema, { status: state.status });
      }
    },
  };
}
