import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { later } from "../health.ts";
import { sessionIds } from "../simulator-state.ts";
import { allWith, beforeRotation, expectNothingLost, credentialOf, promoted, rotate } from "../rotation.ts";
import type { Stage } from "../stage.ts";
import { password } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** The vendor has changed already: live binds stay, and the next bind takes the new password. Returns it. */
export async function rotateReplaced(stage: Stage, { acme, acmePort }: Cast): Promise<string> {
  const { narrator, admin, signal } = stage;
  narrator.section(
    "A password that the vendor has replaced already",
    "acme-de refuses the old one from now on (REPLACE). Live binds stay as they are: vendors ask for the password only",
    "in the bind.",
  );
  const before = await beforeRotation(stage, acme);
  const secret = password(8);
  await stage.vendorDoes({ do: "password", account: acme.systemId, password: secret, mode: "REPLACE" });
  const id = await rotate(stage, acme, { password: secret, mode: RotationMode.REPLACE });
  narrator.say("the vendor knows only the new password; it is stored as pending");
  const line = await stage.until("the connector reports that it has applied it", async () => {
    const node = await stage.node();
    return node?.revisionsBehind === 0 && stage.child("connector").lines.length;
  });
  const { sessions: live } = await stage.account(acme.systemId);
  expectThat(sessionIds(live) === sessionIds(before.account.sessions), "live binds should have stayed");
  expectThat((await credentialOf(stage, acme))?.pending?.id === id, "nothing has proven the new password yet");
  narrator.proven(`the same sessions at the vendor: ${sessionIds(live)}`);

  await admin.updateOperator(
    {
      operatorId: acme.operatorId,
      operator: { connections: { main: { endpoints: { primary: { port: acmePort } } } } },
      updateMask: { paths: ["connections.main.endpoints.primary.port"] },
      reason: "the vendor moves back",
    },
    { signal },
  );
  const begin = Date.now();
  narrator.say(`then acme-de moves back to port ${acmePort}: both binds are made anew, one at a time`);
  narrator.proven(
    `the first one took the new password: promoted by itself, ${later(begin, await promoted(stage, before, id))}`,
  );
  const sessions = await allWith(stage, before, id);
  expectThat(
    stage.child("connector").find(/password refused/, line) === undefined,
    "the connector should not have tried the old password",
  );
  narrator.proven(
    `both binds have it, ${later(begin, Date.now())}: sessions ${sessionIds(live)} became ${sessionIds(sessions)}`,
  );
  await expectNothingLost(stage, before);
  return secret;
}
