import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { nameOf } from "../health.ts";
import type { Stage } from "../stage.ts";
import type { Vendor } from "../vendors.ts";
import { expectThat } from "../wait.ts";
import { LOCKED_AFTER } from "./start.ts";

/** What is to be looked for at the end. */
export interface Ending {
  readonly secrets: readonly string[];
  /** The vendors, with what each had taken when the connector's count began. */
  readonly vendors: readonly { readonly vendor: Vendor; readonly takenBefore: number }[];
}

/** Everything stops in order; the books agree, the history is verified and no password lies about. */
export async function stop(stage: Stage, { secrets, vendors }: Ending): Promise<void> {
  const { narrator, admin, signal } = stage;
  narrator.section("Everything stops in order");
  const history = await admin.verifyHistory({}, { signal });
  expectThat(history.valid, `the history is broken: ${history.problems.map(({ text }) => text).join("; ")}`);
  narrator.proven(
    `history: ${history.revisions} revisions of ${history.operators} operators, the chain of fingerprints is whole`,
  );

  expectThat((await stage.child("connector").stop()) === 0, "the connector should have exited with 0");
  const { accounts, totals } = await stage.vendorState();
  const left = accounts.flatMap(({ sessions }) => sessions);
  expectThat(left.length === 0, `the connector left ${left.length} sessions behind`);
  expectThat((await stage.node()) === undefined, "the connector said goodbye, but the fleet view still shows it");
  narrator.proven("connector: SIGTERM, every bind unbound, gone from the fleet view, exit code 0");
  for (const { vendor, takenBefore } of vendors) await compareBooks(stage, vendor, takenBefore);
  narrator.say(
    `simulator: ${totals.bindsAccepted} binds accepted, ${refusals(totals.bindsRefused)}, ` +
      `${totals.unbinds} unbinds, ${totals.messagesReceived} messages received`,
  );
  expectThat((await stage.child("service").stop()) === 0, "the service should have exited with 0");
  expectThat((await stage.child("simulator").stop()) === 0, "the simulator should have exited with 0");
  narrator.proven("service and simulator: SIGTERM, exit code 0");

  const found = await where(stage, secrets);
  expectThat(found.length === 0, `a password was found in ${found.join(", ")}`);
  narrator.proven(`${secrets.length} passwords were in play; none is in any log or readable in the data folder`);
}

/** The connector's own count, told as it stops, against the vendor's. */
async function compareBooks(stage: Stage, vendor: Vendor, takenBefore: number): Promise<void> {
  const { maxBinds, totals } = await stage.account(vendor.systemId);
  const pattern = new RegExp(
    `${nameOf(vendor)} +(\\d+) messages taken by the vendor, (\\d+) refused, (\\d+) unanswered`,
  );
  const told = await stage.until(
    "the connector has told what came of its messages",
    () => pattern.exec(stage.child("connector").find(pattern)?.text ?? "") ?? undefined,
  );
  const [taken = 0, refused = 0, unanswered = 0] = told.slice(1).map(Number);
  const has = (totals.submits.ESME_ROK ?? 0) - takenBefore;
  expectThat(
    refused === 0 && taken <= has && has <= taken + unanswered,
    `the vendor took ${has} messages, the connector says ${told[0]}`,
  );
  expectThat(totals.bindsPeak <= maxBinds, `the vendor saw ${totals.bindsPeak} binds, it allows ${maxBinds}`);
  expectThat(
    totals.locks === 0 && totals.failedLoginsPeak < LOCKED_AFTER,
    `the vendor saw ${totals.failedLoginsPeak} failed logins, and locked ${totals.locks} times`,
  );
  // A silent vendor's: sending them again could deliver them twice.
  const fate = unanswered === 0 ? "none lost" : `${unanswered} never answered, so of unknown fate`;
  stage.narrator.proven(
    `${vendor.operatorId}: ${has} messages in both books, ${fate}; at most ${totals.bindsPeak} binds, ` +
      `${totals.failedLogins} failed logins, no lock`,
  );
}

function refusals(refused: Readonly<Record<string, number>>): string {
  const words = Object.entries(refused).map(([status, count]) => `${count} refused (${status})`);
  return words.length === 0 ? "none refused" : words.join(", ");
}

/** The files and outputs that hold one of these texts. */
async function where(stage: Stage, texts: readonly string[]): Promise<string[]> {
  const needles = texts.map((text) => Buffer.from(text));
  const outputs = stage.children
    .filter(({ lines }) => texts.some((text) => lines.some((line) => line.text.includes(text))))
    .map(({ name }) => `the ${name}'s log`);
  const entries = await readdir(stage.dataFolder, { recursive: true, withFileTypes: true });
  const files: string[] = [];
  for (const entry of entries.filter((each) => each.isFile())) {
    const path = join(entry.parentPath, entry.name);
    const content = await readFile(path);
    if (needles.some((needle) => content.includes(needle))) files.push(path);
  }
  return [...outputs, ...files];
}
