import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { acknowledged, type Acknowledged, type Stage } from "../stage.ts";
import { password, type Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import { bound, sessionWords } from "./onboard.ts";
import type { Cast } from "./start.ts";

/** What a vendor tolerates before it locks an account. */
const MOST_FAILED_LOGINS = 3;

export interface Mistyped {
  /** It must not be found anywhere either. */
  readonly password: string;
  /** What the vendor had taken when the connector began anew with the account. */
  readonly takenBefore: number;
}

/** A password with a typing error, and its correction. */
export async function mistypePassword(stage: Stage, { sola }: Cast): Promise<Mistyped> {
  const { narrator } = stage;
  narrator.section(
    "A wrong password, and its correction",
    "failed logins get accounts banned: a connector tries three times, then it waits for a human.",
  );
  await changeState(stage, sola, AdminState.DISABLED, "new password from the vendor");
  await bound(stage, sola, 0);
  narrator.say("sola-za/main disabled: both binds are gone, in order");
  const takenBefore = (await stage.account(sola.systemId)).totals.submits.ESME_ROK ?? 0;

  const wrong = password(8);
  await setCredential(stage, sola, wrong);
  const from = stage.child("connector").lines.length;
  await changeState(stage, sola, AdminState.ENABLED, "new password");
  narrator.say("a new password is stored, with a typing error, and sola-za/main enabled");
  await stage.until("the connector gives up after three tries", () =>
    stage.child("connector").find(/password refused .*no tries left/, from),
  );
  for (const { text } of stage.child("connector").lines.slice(from)) {
    if (/password refused/.test(text)) narrator.detail(text.replaceAll(/ {2,}/g, "  "));
  }
  const refused = await stage.until("the fleet view says so", async () =>
    (await stage.node())?.connections
      .filter(({ operatorId }) => operatorId === sola.operatorId)
      .flatMap(({ binds }) => binds)
      .find(({ detail }) => detail.includes("no tries left")),
  );
  expectThat(refused.lastBindStatus === 0x0e, "the fleet view should show the vendor's command_status, 0x0E");
  narrator.proven(`fleet view: ${refused.detail}`);

  await changeState(stage, sola, AdminState.DISABLED, "the password was mistyped");
  await setCredential(stage, sola, sola.password);
  const change = await changeState(stage, sola, AdminState.ENABLED, "the password is right now");
  const sessions = await bound(stage, sola, 2);
  const latest = Math.max(...sessions.map(({ since }) => Date.parse(since)));
  narrator.say("disabled, the right password stored, enabled again: a new credential has tries of its own");
  narrator.measured("sola-za password", "sola-za: 2 of 2 binds up", change.time, latest);
  narrator.detail(...sessions.map(sessionWords));

  const { bindsRefused } = (await stage.vendorState()).totals;
  const failed = bindsRefused.ESME_RINVPASWD ?? 0;
  expectThat(
    failed === MOST_FAILED_LOGINS,
    `the vendor should have seen ${MOST_FAILED_LOGINS} failed logins, it saw ${failed}`,
  );
  narrator.proven(`the vendor saw ${failed} failed logins over both binds, not one more`);
  return { password: wrong, takenBefore };
}

async function setCredential(
  stage: Stage,
  { operatorId, connectionId, systemId }: Vendor,
  secret: string,
): Promise<void> {
  const { admin, signal } = stage;
  await admin.setConnectionCredential({ operatorId, connectionId, systemId, password: secret }, { signal });
}

async function changeState(stage: Stage, vendor: Vendor, target: AdminState, reason: string): Promise<Acknowledged> {
  const { admin, signal } = stage;
  const { operatorId, connectionId } = vendor;
  // It takes four networks' last route for a while, on purpose.
  return acknowledged(
    await admin.changeAdminState({ operatorId, connectionId, target, reason, force: true }, { signal }),
  );
}
