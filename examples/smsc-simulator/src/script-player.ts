import { setTimeout as pause } from "node:timers/promises";
import { perform } from "./perform.ts";
import type { Script, ScriptStep } from "./script.ts";
import type { Smsc } from "./smsc.ts";

/** Where a script is. */
export interface ScriptState {
  readonly done: number;
  readonly steps: number;
  /** Of steps that could not be done; the script went on. */
  readonly failures: readonly string[];
}

/** Plays one script at a time against a simulator. */
export class ScriptPlayer {
  readonly #smsc: Smsc;
  #stop = new AbortController();
  #state: ScriptState | undefined;

  constructor(smsc: Smsc) {
    this.#smsc = smsc;
  }

  /** Of the script played last; undefined before the first. */
  get state(): ScriptState | undefined {
    return this.#state;
  }

  /** Ends the script that plays, and plays this one. Resolves when it is over or stopped. */
  async play({ steps }: Script): Promise<void> {
    this.stop();
    const { signal } = (this.#stop = new AbortController());
    const failures: string[] = [];
    const begin = performance.now();
    this.#state = { done: 0, steps: steps.length, failures };
    for (const [i, step] of steps.entries()) {
      await untilDue(step, begin, signal);
      if (signal.aborted) return;
      try {
        await perform(this.#smsc, step.action);
      } catch (error) {
        // The step named an account or a port that is not there, or that another process has: the rest may still make sense.
        failures.push(`step ${i + 1} (${step.action.do}): ${error instanceof Error ? error.message : "failed"}`);
        this.#smsc.say(`script, ${failures.at(-1)}`);
      }
      if (signal.aborted) return;
      this.#state = { done: i + 1, steps: steps.length, failures };
    }
    this.#smsc.say(`script: all ${steps.length} steps are done`);
  }

  stop(): void {
    this.#stop.abort();
  }
}

async function untilDue({ due }: ScriptStep, begin: number, signal: AbortSignal): Promise<void> {
  const wait = "after" in due ? due.after * 1000 : begin + due.at * 1000 - performance.now();
  // Rejects only when the signal aborts, which the caller looks at.
  if (wait > 0) await pause(wait, undefined, { signal }).catch(() => undefined);
}
