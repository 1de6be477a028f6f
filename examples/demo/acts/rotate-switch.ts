import { timestampFromMs } from "@bufbuild/protobuf/wkt";
import { RotationMode, RotationRebind } from "@operator-management/contract/ops/v1/credential_pb.js";
import { later } from "../health.ts";
import { sessionIds } from "../simulator-state.ts";
import { allWith, beforeRotation, expectNothingLost, promoted, rotate } from "../rotation.ts";
import type { Stage } from "../stage.ts";
import { password } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import type { Cast } from "./start.ts";

/** Time until the switch, in milliseconds: enough for the connector to hear of it on a busy machine. */
const UNTIL_SWITCH = 8_000;

/** The vendor changes at an announced time. Returns the new password. */
export async function rotateAtSwitch(stage: Stage, { sola }: Cast): Promise<string> {
  const { narrator } = stage;
  const time = Date.now() + UNTIL_SWITCH;
  narrator.section(
    "A new password at an announced time",
    `sola-za changes at ${new Date(time).toISOString().slice(11, 19)} UTC (SWITCH_AT) and wants binds to be made anew then (AT_SWITCH).`,
  );
  const before = await beforeRotation(stage, sola);
  const secret = password(8);
  const switchAt = new Date(time).toISOString();
  await stage.vendorDoes({ do: "password", account: sola.systemId, password: secret, mode: "SWITCH_AT", switchAt });
  const id = await rotate(stage, sola, {
    password: secret,
    mode: RotationMode.SWITCH_AT,
    switchTime: timestampFromMs(time),
    rebind: RotationRebind.AT_SWITCH,
  });
  narrator.say("announced and stored; until then only the old one is used");
  const promotion = await promoted(stage, before, id);
  expectThat(promotion >= time, "the new password should not be tried before the switch");
  narrator.proven(`the first bind after the switch proved it: promoted by itself, ${later(time, promotion)}`);
  const sessions = await allWith(stage, before, id);
  narrator.proven(
    `every bind is made anew, ${later(time, Date.now())}: sessions ${sessionIds(before.account.sessions)} became ${sessionIds(sessions)}`,
  );
  expectThat(
    sessions.every(({ since }) => Date.parse(since) >= time),
    "no bind should have been made anew before the switch",
  );
  await expectNothingLost(stage, before);
  return secret;
}
