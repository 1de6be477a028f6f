import { acknowledged, type Stage } from "../stage.ts";
import { sessionIds } from "../simulator-state.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** For how long traffic is counted before a rate is believed, in milliseconds. */
const WINDOW = 1_500;
const OLD_RATE = 30;
const NEW_RATE = 80;
/** What the other two operators send all the while. */
const OTHERS = 30;

/** The rate of live sessions changes. */
export async function changeRate(stage: Stage, { acme }: Cast): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "A vendor allows more: the rate changes, no bind does",
    `acme-de from ${OLD_RATE} to ${NEW_RATE} messages/s. The connector sends test messages on every link, as fast as it may.`,
  );
  const before = await stage.sessions(acme.systemId);
  narrator.say(
    `before: ${(await trafficRate(stage)).toFixed(0)}/s arrive at the simulator from all three (limits: ${OLD_RATE} + ${OTHERS})`,
  );

  const from = stage.child("connector").lines.length;
  const change = acknowledged(
    await admin.updateOperator(
      {
        operatorId: acme.operatorId,
        operator: { connections: { main: { throughput: { maxSegmentsPerSecond: NEW_RATE } } } },
        updateMask: { paths: ["connections.main.throughput.max_segments_per_second"] },
        reason: "agreed with the vendor",
      },
      { signal },
    ),
  );
  const line = await stage.until("the connector takes the new rate", () =>
    stage.child("connector").find(new RegExp(`rate now ${NEW_RATE}/s, no re-bind`), from),
  );
  narrator.measured("acme-de rate", `the live sessions take ${NEW_RATE}/s`, change.time, line.time);
  const rate = await stage.until("more traffic arrives than the old limits allowed", async () => {
    const now = await trafficRate(stage);
    return now > (OLD_RATE + OTHERS) * 1.25 ? now : undefined;
  });
  narrator.say(`after: ${rate.toFixed(0)}/s arrive (limits: ${NEW_RATE} + ${OTHERS})`);

  const after = await stage.sessions(acme.systemId);
  expectThat(
    JSON.stringify(after) === JSON.stringify(before),
    `the sessions should have stayed: ${sessionIds(before)} became ${sessionIds(after)}`,
  );
  narrator.proven(`the same sessions at the vendor: ${sessionIds(after)}`);
}

/** Messages per second that arrive at the simulator. */
async function trafficRate(stage: Stage): Promise<number> {
  const [first, begin] = [(await stage.vendorState()).totals.messagesReceived, performance.now()];
  await new Promise((resolve) => setTimeout(resolve, WINDOW));
  const [last, end] = [(await stage.vendorState()).totals.messagesReceived, performance.now()];
  return ((last - first) * 1000) / (end - begin);
}
