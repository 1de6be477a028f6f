import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { Stage } from "../stage.ts";
import { expectThat } from "../wait.ts";

/** Everything stops in order; the history is verified and no password lies about. */
export async function stop(stage: Stage, secrets: readonly string[]): Promise<void> {
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
