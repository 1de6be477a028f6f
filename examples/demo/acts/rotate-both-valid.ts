import { RotationMode } from "@operator-management/contract/ops/v1/credential_pb.js";
import { later } from "../health.ts";
import { sessionIds } from "../simulator-state.ts";
import { allWith, beforeRotation, expectNothingLost, promoted, rotate } from "../rotation.ts";
import type { Stage } from "../stage.ts";
import { password } from "../vendors.ts";
import { sessionWords } from "./onboard.ts";
import type { Cast } from "./start.ts";

/** Old and new password are valid: one bind proves the new one, the others follow. Returns the new password. */
export async function rotateBothValid(stage: Stage, { hub }: Cast): Promise<string> {
  const { narrator } = stage;
  narrator.section(
    "A new password, both valid: one bind tries it, then the others follow",
    "hub-one's portal keeps the old one for a while (BOTH_VALID). Traffic runs; nobody confirms anything.",
  );
  const before = await beforeRotation(stage, hub);
  const secret = password(20);
  await stage.vendorDoes({ do: "password", account: hub.systemId, password: secret, mode: "BOTH_VALID" });
  const id = await rotate(stage, hub, { password: secret, mode: RotationMode.BOTH_VALID });
  const begin = Date.now();
  narrator.say("both passwords are valid at the vendor; the new one is stored as pending");
  narrator.proven(`one bind took it: promoted by itself, ${later(begin, await promoted(stage, before, id))}`);
  const sessions = await allWith(stage, before, id);
  narrator.proven(
    `the other bind followed, ${later(begin, Date.now())}: sessions ${sessionIds(before.account.sessions)} became ${sessionIds(sessions)}`,
  );
  narrator.detail(...sessions.map(sessionWords));
  await expectNothingLost(stage, before);
  return secret;
}
