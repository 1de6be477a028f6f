import { AdminState } from "@operator-management/contract/ops/v1/admin_state_pb.js";
import { acknowledged, type Acknowledged, type Stage } from "../stage.ts";
import type { VendorSession } from "../simulator-state.ts";
import { nightContact, type Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** Three operators are added; nothing binds before its last step, and everything right after it. */
export async function onboard(stage: Stage, { acme, sola, hub }: Cast): Promise<void> {
  const { narrator } = stage;
  narrator.section(
    "Three operators are added, modelled on public suppliers' manuals",
    "create → update → credential → enable the connection → enable the operator",
  );
  const last = new Map<Vendor, Acknowledged>();
  for (const vendor of [acme, sola, hub]) {
    narrator.say(`${vendor.operatorId}: ${vendor.story}`);
    last.set(vendor, await add(stage, vendor));
  }
  for (const [vendor, enabled] of last) {
    const sessions = await bound(stage, vendor, 2);
    const latest = Math.max(...sessions.map(({ since }) => Date.parse(since)));
    narrator.measured(`${vendor.operatorId} enabled`, `${vendor.operatorId}: 2 of 2 binds up`, enabled.time, latest);
    narrator.detail(...sessions.map(sessionWords));
  }
  const { totals } = await stage.vendorState();
  expectThat(totals.bindsAccepted === 6, `6 binds were expected at the vendors, there were ${totals.bindsAccepted}`);
  expectThat(
    Object.keys(totals.bindsRefused).length === 0,
    `no bind should have been refused: ${JSON.stringify(totals.bindsRefused)}`,
  );
  const node = await stage.until("the fleet view shows six binds", async () => {
    const found = await stage.node();
    return boundIn(found) === 6 && found?.revisionsBehind === 0 ? found : undefined;
  });
  narrator.proven(`fleet view: node ${node.node}, ${boundIn(node)} binds BOUND, 0 revisions behind, nothing rejected`);
  expectThat(node.rejected.length === 0, "the connector rejected a configuration");
}

async function add(stage: Stage, vendor: Vendor): Promise<Acknowledged> {
  const { admin, narrator, signal } = stage;
  const { operatorId, connectionId, systemId, password, operator } = vendor;
  const reason = "new supplier";
  await admin.createOperator({ operatorId, operator, reason }, { signal });
  await admin.updateOperator(
    { operatorId, operator: { contacts: [nightContact] }, updateMask: { paths: ["contacts"] }, reason: "whom to call" },
    { signal },
  );
  const stored = await admin.setConnectionCredential(
    { operatorId, connectionId, systemId, password, reason },
    { signal },
  );
  for (const { text } of stored.warnings) narrator.detail(`warning: ${text}`);
  const target = AdminState.ENABLED;
  await admin.changeAdminState({ operatorId, connectionId, target, reason }, { signal });
  const before = await stage.sessions(systemId);
  expectThat(before.length === 0, `${operatorId} bound though the operator was still in DRAFT`);
  return acknowledged(await admin.changeAdminState({ operatorId, target, reason }, { signal }));
}

/** The sessions of a vendor's account once there are `count`. */
export function bound(
  stage: Stage,
  { operatorId, systemId }: Vendor,
  count: number,
): Promise<readonly VendorSession[]> {
  return stage.until(`${operatorId} has ${count} binds at the vendor`, async () => {
    const sessions = await stage.sessions(systemId);
    return sessions.length === count ? sessions : undefined;
  });
}

export function sessionWords({ role, port, sessionId }: VendorSession): string {
  return `${role.padEnd(11)} on port ${port}, the vendor's session ${sessionId}`;
}

function boundIn(node: Awaited<ReturnType<Stage["node"]>>): number {
  return (node?.connections ?? []).flatMap(({ binds }) => binds).filter(({ boundSince }) => boundSince !== undefined)
    .length;
}
