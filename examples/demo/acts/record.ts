import { timestampMs } from "@bufbuild/protobuf/wkt";
import { OperationalReason, OperationalState } from "@operator-management/contract/ops/v1/health_pb.js";
import { stateWords } from "../health.ts";
import type { Stage } from "../stage.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

const { UP, DEGRADED, THROTTLED, DOWN, UNKNOWN } = OperationalState;

/** What became of a link is written down, change by change. */
export async function readRecord(stage: Stage, { acme }: Cast): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "What happened to acme-de is written down",
    "Each change of a link's state is recorded once, whatever number of processes saw it.",
  );
  const transitions = await stage.until("the last transition is written", async () => {
    const { transitions: newestFirst } = await admin.listHealthTransitions(
      { operatorId: acme.operatorId, pageSize: 1_000 },
      { signal },
    );
    const [last, before] = newestFirst;
    return last?.to === UP && before?.reason === OperationalReason.NO_REPORT && newestFirst.toReversed();
  });
  for (const { to, grade, reason, time } of transitions) {
    const at = new Date(time ? timestampMs(time) : 0).toISOString().slice(11, 23);
    const why = reason === OperationalReason.UNSPECIFIED ? "" : ` ${OperationalReason[reason]}`;
    narrator.detail(`${at}  ${stateWords({ state: to, grade })}${why}`);
  }
  const seen = new Set(transitions.map(({ to }) => to));
  const missing = [UP, DEGRADED, THROTTLED, DOWN, UNKNOWN].filter((state) => !seen.has(state));
  expectThat(missing.length === 0, `not recorded: ${missing.map((state) => OperationalState[state]).join(", ")}`);
  const breaks = transitions.filter(({ from }, i) => i > 0 && from !== transitions[i - 1]?.to);
  expectThat(breaks.length === 0, "each transition should begin where the one before ended");
  narrator.proven(`${transitions.length} transitions, each from where the one before ended`);
}
