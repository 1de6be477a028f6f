import { acknowledged, type Stage } from "../stage.ts";
import { sessionIds } from "../simulator-state.ts";
import { expectThat } from "../wait.ts";
import { sessionWords } from "./onboard.ts";
import type { Cast } from "./start.ts";

/** An endpoint changes, which only a new bind can follow. */
export async function moveEndpoint(stage: Stage, { acme, acmeNewPort }: Cast): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "A vendor moves: the port changes, and the binds are made anew",
    `acme-de goes to port ${acmeNewPort}, one bind at a time, so that one of the two is always up.`,
  );
  const before = await stage.sessions(acme.systemId);
  const change = acknowledged(
    await admin.updateOperator(
      {
        operatorId: acme.operatorId,
        operator: { connections: { main: { endpoints: { primary: { port: acmeNewPort } } } } },
        updateMask: { paths: ["connections.main.endpoints.primary.port"] },
        reason: "the vendor moves its SMSC",
      },
      { signal },
    ),
  );
  let fewest = before.length;
  const after = await stage.until("both binds are on the new port", async () => {
    const now = await stage.sessions(acme.systemId);
    fewest = Math.min(fewest, now.length);
    return now.length === 2 && now.every(({ port }) => port === acmeNewPort) ? now : undefined;
  });
  const latest = Math.max(...after.map(({ since }) => Date.parse(since)));
  narrator.measured("acme-de port", `both binds are on port ${acmeNewPort}`, change.time, latest);
  narrator.detail(...after.map(sessionWords));
  expectThat(fewest >= 1, "both binds were down at once");
  narrator.proven(
    `at least ${fewest} bind up all the while; sessions ${sessionIds(before)} became ${sessionIds(after)}`,
  );
}
