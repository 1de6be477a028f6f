import { randomUUID } from "node:crypto";
import { setTimeout as delay } from "node:timers/promises";
import { create } from "@bufbuild/protobuf";
import { Code, ConnectError, type Client } from "@connectrpc/connect";
import type { OperatorAdminService } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { OperatorSchema, type Operator } from "@operator-management/contract/ops/v1/operator_pb.js";
import type { AcknowledgedWrite } from "./observation.ts";
import type { Random } from "./random.ts";
import { contentOf, positionOf } from "./record-watch.ts";

export type AdminClient = Client<typeof OperatorAdminService>;

/** The values of label `team`; watchers filter on one of them. */
export const TEAMS = ["red", "blue"] as const;

/** Codes that a call may end with while the service is being killed or started: the call is then repeated, with the same request id. */
const TRY_AGAIN = new Set([
  Code.Unavailable,
  Code.Unknown,
  Code.Canceled,
  Code.Aborted,
  Code.DeadlineExceeded,
  Code.ResourceExhausted,
]);

/**
 * One writer: creates operators of its own, changes its own and everybody's, deletes some. Every acknowledged write is returned. Reads
 * the client anew for each call, since a restarted service has another one.
 */
export async function write(
  name: string,
  calls: number,
  random: Random,
  shared: readonly string[],
  admin: () => AdminClient,
): Promise<AcknowledgedWrite[]> {
  const acknowledged: AcknowledgedWrite[] = [];
  const own: string[] = [];
  const keep = (reply: { operator?: Operator | undefined; token: string }): void => {
    if (reply.operator === undefined) throw new Error("a reply without its operator");
    acknowledged.push({ id: reply.operator.id, position: positionOf(reply.token), content: contentOf(reply.operator) });
  };
  for (let call = 0; call < calls; call++) {
    const operatorId = `${name}-${call}`;
    const labels = { team: random.pick(TEAMS) };
    const dice = random.next();
    if (own.length === 0 || dice < 0.25) {
      const operator = create(OperatorSchema, { displayName: `made by ${name}`, labels });
      keep(await untilAnswered((requestId) => admin().createOperator({ operatorId, operator, requestId })));
      own.push(operatorId);
    } else if (dice < 0.35) {
      const [doomed] = own.splice(random.integer(0, own.length), 1);
      keep(await untilAnswered((requestId) => admin().deleteOperator({ operatorId: doomed ?? "", requestId })));
    } else {
      // A unique name, so that no update is a no-op and every acknowledgement is a revision of its own.
      const operator = create(OperatorSchema, { displayName: `${name} ${call}`, labels });
      const updateMask = { paths: ["display_name", "labels.team"] };
      const target = dice < 0.6 ? random.pick(shared) : random.pick(own);
      keep(
        await untilAnswered((requestId) =>
          admin().updateOperator({ operatorId: target, operator, updateMask, requestId }),
        ),
      );
    }
  }
  return acknowledged;
}

/** Repeats a call with one request id until the service answers it; anything but a passing failure is thrown. */
export async function untilAnswered<T>(
  call: (requestId: string) => Promise<T>,
  requestId: string = randomUUID(),
): Promise<T> {
  const giveUp = Date.now() + 60_000;
  for (;;) {
    try {
      return await call(requestId);
    } catch (error) {
      const { code } = ConnectError.from(error);
      if (!TRY_AGAIN.has(code) || Date.now() > giveUp) throw error;
      await delay(50); // between attempts, not instead of a condition
    }
  }
}
