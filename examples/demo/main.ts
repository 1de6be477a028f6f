import { parseArgs } from "node:util";
import { crash } from "./acts/crash.ts";
import { degradeByErrors } from "./acts/errors.ts";
import { degradeByLatency } from "./acts/latency.ts";
import { moveEndpoint } from "./acts/move.ts";
import { onboard } from "./acts/onboard.ts";
import { mistypePassword } from "./acts/password.ts";
import { changeRate } from "./acts/rate.ts";
import { loseReceiver } from "./acts/receiver.ts";
import { readRecord } from "./acts/record.ts";
import { rotateBothValid } from "./acts/rotate-both-valid.ts";
import { rotateReplaced } from "./acts/rotate-replace.ts";
import { rotateAtSwitch } from "./acts/rotate-switch.ts";
import { fallSilent, nobodyReports } from "./acts/silence.ts";
import { start } from "./acts/start.ts";
import { stop } from "./acts/stop.ts";
import { throttle } from "./acts/throttle.ts";
import { Narrator } from "./narrator.ts";
import { Stage } from "./stage.ts";

const HELP = `The demo: the service, an SMSC simulator and a connector on this machine, from empty to
bound, changed, degraded, rotated, broken and restarted.

  npm run demo
  npm run demo -- --logs   also prints what the three processes write

Takes about two minutes, uses free ports and a temporary folder, and leaves nothing behind. Exits with 0 when everything was
as it should be; otherwise it says which step failed and shows the last log lines of each process.
`;

const LONGEST_MINUTES = 8;
const LOG_LINES = 12;

const HINTS = `
Try it yourself:
  npm start                                        the service; it prints a curl that works when pasted
  npm run simulator -- --account acme01:secret:2   an SMSC to bind to
  npm run connector                                binds what you configure; add -- --traffic for test messages
  README.md                                        the five-minute tour with curl`;

/** Somebody pressed Ctrl-C. */
class Interrupted extends Error {
  override readonly name = "Interrupted";
}

async function main(logs: boolean): Promise<number> {
  const narrator = new Narrator();
  const ending = new AbortController();
  const onSignal = (signal: NodeJS.Signals): void => ending.abort(new Interrupted(`Stopped by ${signal}.`));
  // For good: Ctrl-C comes twice when npm passes it on, and the second must neither cut the clearing up short nor change the exit code.
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  const timer = setTimeout(
    () => ending.abort(new Error(`not done after ${LONGEST_MINUTES} minutes`)),
    LONGEST_MINUTES * 60_000,
  );
  const stage = await Stage.set(narrator, ending.signal, {
    onLine: (name, text) => (logs ? narrator.plain(`             | ${name.padEnd(9)} | ${text}`) : undefined),
    onSurprise: (text) => ending.abort(new Error(text)),
  });
  const begin = Date.now();
  narrator.plain("The Operator Management Service, from nothing to bound links. Times are in seconds since the start.");
  try {
    await play(stage);
    narrator.summary((Date.now() - begin) / 1000);
    narrator.plain(HINTS);
    return 0;
  } catch (error) {
    // A call that was cut short by the end of the demo says so in its own words; why it ended is the better text.
    const cause: unknown = ending.signal.aborted ? ending.signal.reason : error;
    if (cause instanceof Interrupted) console.error(`\n${cause.message}`);
    else tellFailure(stage, cause);
    return cause instanceof Interrupted ? 130 : 1;
  } finally {
    clearTimeout(timer);
    await stage.clear();
  }
}

async function play(stage: Stage): Promise<void> {
  const cast = await start(stage);
  await onboard(stage, cast);
  await degradeByErrors(stage, cast);
  await changeRate(stage, cast);
  await degradeByLatency(stage, cast);
  await throttle(stage, cast);
  await moveEndpoint(stage, cast);
  const mistyped = await mistypePassword(stage, cast);
  await loseReceiver(stage, cast);
  const replaced = await rotateReplaced(stage, cast);
  const trustedAgain = await fallSilent(stage, cast);
  const rotated = [replaced, await rotateAtSwitch(stage, cast), await rotateBothValid(stage, cast)];
  await trustedAgain();
  await nobodyReports(stage, cast);
  await readRecord(stage, cast);
  await crash(stage, cast);
  const { acme, sola, hub } = cast;
  await stop(stage, {
    secrets: [acme.password, sola.password, hub.password, mistyped.password, ...rotated],
    vendors: [
      { vendor: acme, takenBefore: 0 },
      { vendor: sola, takenBefore: mistyped.takenBefore },
      { vendor: hub, takenBefore: 0 },
    ],
  });
}

function tellFailure({ children, narrator }: Stage, error: unknown): void {
  const text = error instanceof Error ? error.message : String(error);
  console.error(`\nThe demo failed in step "${narrator.step}":\n  ${text}`);
  for (const { name, lines } of children) {
    console.error(`\nLast lines of the ${name}:`);
    for (const line of lines.slice(-LOG_LINES)) console.error(`  ${line.text}`);
  }
}

const { values } = parseArgs({ options: { help: { type: "boolean", short: "h" }, logs: { type: "boolean" } } });
if (values.help === true) console.log(HELP);
// At once: an end by itself takes the signal handlers away first, and a second Ctrl-C would then change the exit code.
else process.exit(await main(values.logs ?? false));
