import type { MessageInitShape } from "@bufbuild/protobuf";
import { CredentialState, type ConnectionCredential } from "@operator-management/contract/ops/v1/credential_pb.js";
import type { RotateConnectionCredentialRequestSchema } from "@operator-management/contract/ops/v1/operator_admin_pb.js";
import { healthOf, nameOf } from "./health.ts";
import type { VendorAccount, VendorSession } from "./simulator-state.ts";
import type { Stage } from "./stage.ts";
import type { Vendor } from "./vendors.ts";
import { expectThat } from "./wait.ts";

/** How things are before a rotation. */
export interface Before {
  readonly vendor: Vendor;
  readonly account: VendorAccount;
  /** Number of the last message that the vendor had then. */
  readonly lastMessage: number;
  /** Line of the connector's story. */
  readonly line: number;
}

/** Looks at the vendor's books before a rotation. */
export async function beforeRotation(stage: Stage, vendor: Vendor): Promise<Before> {
  const account = await stage.account(vendor.systemId);
  const book = await stage.vendorBook(vendor.systemId, 0);
  const line = stage.child("connector").lines.length;
  expectThat(account.sessions.length === vendor.maxBinds, `${nameOf(vendor)} should have all of its binds`);
  return { vendor, account, lastMessage: book.at(-1)?.number ?? 0, line };
}

/** Begins a rotation to this password and returns the pending version's id. */
export async function rotate(
  { admin, signal }: Stage,
  { operatorId, connectionId, systemId }: Vendor,
  how: MessageInitShape<typeof RotateConnectionCredentialRequestSchema>,
): Promise<string> {
  const names = { operatorId, connectionId, systemId, reason: "the vendor's new password" };
  const { credential } = await admin.rotateConnectionCredential({ ...names, ...how }, { signal });
  const id = credential?.pending?.id ?? "";
  expectThat(id !== "", "a rotation should begin with a pending version");
  return id;
}

/** Resolves when the pending version is the active one, by itself: nobody asked for it. */
export async function promoted(stage: Stage, before: Before, id: string): Promise<number> {
  await stage.until(
    `${nameOf(before.vendor)}'s new password is promoted`,
    async () => {
      const { active, pending } = (await credentialOf(stage, before.vendor)) ?? {};
      expectThat(pending?.state !== CredentialState.REJECTED, "the vendor refused the new password");
      return active?.id === id;
    },
    { pollMs: 50 },
  );
  return Date.now();
}

/** Resolves with the vendor's sessions when every bind has been made anew with this version, one after the other. */
export function allWith(stage: Stage, before: Before, id: string): Promise<readonly VendorSession[]> {
  const { vendor, account } = before;
  const old = account.sessions.map(({ sessionId }) => sessionId);
  return stage.until(
    `every bind of ${nameOf(vendor)} is made with the new password`,
    async () => {
      const { sessions } = await stage.account(vendor.systemId);
      const binds = (await stage.node())?.connections.find(({ operatorId }) => operatorId === vendor.operatorId)?.binds;
      const isAll = binds?.every(({ credentialId, boundSince }) => credentialId === id && boundSince !== undefined);
      const isNew = sessions.every(({ sessionId }) => !old.includes(sessionId));
      return isAll && isNew && sessions.length === vendor.maxBinds ? sessions : undefined;
    },
    { pollMs: 50 },
  );
}

/** Compares the vendor's books with those before: nothing lost, no bind and no login too many. */
export async function expectNothingLost(stage: Stage, before: Before): Promise<void> {
  const { vendor, account, lastMessage, line } = before;
  const { narrator } = stage;
  const untold = stage.child("connector").find(new RegExp(`${nameOf(vendor)}.*(fate is unknown|was refused)`), line);
  expectThat(untold === undefined, `the connector should have no trouble with any message: ${untold?.text ?? ""}`);
  const { messages, totals, maxBinds } = await stage.until("the vendor has answered every message", async () => {
    const { totals, maxBinds } = await stage.account(vendor.systemId);
    const messages = await stage.vendorBook(vendor.systemId, lastMessage);
    return messages.length > 0 && messages.every(({ answered }) => answered) && { messages, totals, maxBinds };
  });
  const refused = Object.entries(totals.submits).filter(
    ([status, number]) => status !== "ESME_ROK" && number !== account.totals.submits[status],
  );
  expectThat(refused.length === 0, `the vendor refused messages: ${JSON.stringify(totals.submits)}`);
  const unknown = (await healthOf(stage, vendor))?.quality?.segments?.unknown ?? 0;
  expectThat(unknown === 0, `the connector reports ${unknown} messages without an answer`);
  narrator.proven(`${messages.length} messages sent meanwhile, each answered ESME_ROK: none lost, none refused`);

  const refusals = JSON.stringify(totals.bindsRefused);
  expectThat(refusals === JSON.stringify(account.totals.bindsRefused), `the vendor refused binds: ${refusals}`);
  expectThat(totals.bindsPeak <= maxBinds, `the vendor saw ${totals.bindsPeak} binds, it allows ${maxBinds}`);
  const failed = totals.failedLogins - account.totals.failedLogins;
  expectThat(
    failed === 0 && totals.locks === 0,
    `the vendor saw ${failed} failed logins, and locked ${totals.locks} times`,
  );
  narrator.proven(`the vendor's count: never more than ${maxBinds} binds, none refused, no failed login, no lock`);
}

/** The connection's credentials as configured now. */
export async function credentialOf(
  { admin, signal }: Stage,
  { operatorId, connectionId }: Vendor,
): Promise<ConnectionCredential | undefined> {
  const { operator } = await admin.getOperator({ operatorId }, { signal });
  return operator?.connections[connectionId]?.credential;
}
