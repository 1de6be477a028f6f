import { acknowledged, type Stage } from "../stage.ts";
import { sessionIds, type VendorSession } from "../simulator-state.ts";
import type { Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

const LAST_RATE = 60;

/** The service is killed and started again. */
export async function crash(stage: Stage, { acme, sola, hub }: Cast): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "The service is killed and started again: no bind notices",
    "kill -9, no goodbye. The service is never in the message path.",
  );
  const vendors = [acme, sola, hub];
  const before = await allSessions(stage, vendors);
  const connector = stage.child("connector");
  const from = connector.lines.length;
  const killedBy = await stage.child("service").kill();
  narrator.say(`service:   killed (${killedBy})`);
  await stage.until("the connector misses the service", () => connector.find(/the watch ended/, from));
  narrator.say("connector: the service is lost; binds stay as they are");
  const sentBefore = (await stage.vendorState()).totals.messagesReceived;
  const sent = await stage.until("traffic goes on", async () => {
    const more = (await stage.vendorState()).totals.messagesReceived - sentBefore;
    return more >= 50 ? more : undefined;
  });
  expectSame(before, await allSessions(stage, vendors), "while the service was down");
  narrator.proven(`without the service: ${before.length} binds up, ${sent} messages sent meanwhile`);

  const begin = Date.now();
  const ready = await stage.startService();
  narrator.say(
    `service:   started again on the same folder, ready after ${((ready.time - begin) / 1000).toFixed(1)} s`,
  );
  const heard = await stage.until("the connector hears the service again", () =>
    connector.find(/heard again, at revision/, from),
  );
  expectThat(
    connector.find(/fetched anew/, from) === undefined,
    "the connector should have resumed, it fetched everything anew",
  );
  const revision = /revision (\d+)/.exec(heard.text)?.[1];
  narrator.proven(`the connector resumed where it was (revision ${revision}): nothing fetched anew, nothing re-bound`);

  const change = acknowledged(
    await admin.updateOperator(
      {
        operatorId: acme.operatorId,
        operator: { connections: { main: { throughput: { maxSegmentsPerSecond: LAST_RATE } } } },
        updateMask: { paths: ["connections.main.throughput.max_segments_per_second"] },
        reason: "does a change still arrive?",
      },
      { signal },
    ),
  );
  const line = await stage.until("the change arrives", () =>
    connector.find(new RegExp(`rate now ${LAST_RATE}/s`), from),
  );
  narrator.measured(
    "acme-de rate, after the restart",
    "a change made after the restart arrives",
    change.time,
    line.time,
  );
  narrator.measured(
    "the same, until the fleet view shows it",
    "the fleet view shows it as applied",
    change.time,
    await stage.applied(change),
  );
  const after = await allSessions(stage, vendors);
  expectSame(before, after, "over the restart");
  narrator.proven(`the same ${after.length} sessions at the vendors as before: ${sessionIds(after)}`);
}

async function allSessions(stage: Stage, vendors: readonly Vendor[]): Promise<VendorSession[]> {
  const sessions = await Promise.all(vendors.map(({ systemId }) => stage.sessions(systemId)));
  return sessions.flat();
}

function expectSame(before: readonly VendorSession[], after: readonly VendorSession[], when: string): void {
  expectThat(
    JSON.stringify(before) === JSON.stringify(after),
    `the binds should have stayed ${when}: sessions ${sessionIds(before)} became ${sessionIds(after)}`,
  );
}
