import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** How a watcher reads: at once; from a snapshot on; with long pauses; only the first bytes. */
export type WatcherKind = "prompt" | "snapshot" | "slow" | "black-holed";

/** What is sent to the herd's process. */
export type HerdOrder =
  | { readonly kind: "report" }
  | {
      readonly kind: "watch";
      readonly watchers: WatcherKind;
      readonly count: number;
      readonly urls: readonly string[];
      readonly token: string;
      readonly revision: number;
    };

/** How it stands with the herd. Those who follow are the prompt ones and those who began with a snapshot. */
export interface HerdReport {
  /** Streams that have brought something and have not ended. */
  open: number;
  messages: number;
  /** In bytes. */
  largestMessage: number;
  /** Streams that brought something after another one of the same watcher had ended. */
  resumes: number;
  /** How often one that follows was told that it must begin anew. */
  listsAgain: number;
  /** The revision of the last of those who follow. */
  slowest: number;
  /** Gaps, repetitions, and failures to start. */
  problems: string[];
}

/** Many watchers in a process of their own. */
export interface Herd extends AsyncDisposable {
  /** Adds watchers, each at one of the URLs at random; they resume at any of them. All but `snapshot` begin at the token, which is of the revision. */
  watch(
    watchers: WatcherKind,
    count: number,
    where: { readonly urls: readonly string[]; readonly token: string; readonly revision: number },
  ): void;
  report(): Promise<HerdReport>;
  /** Resolves once the condition holds. @throws Error with the last report after so many milliseconds */
  until(what: string, condition: (report: HerdReport) => boolean, patienceMs?: number): Promise<HerdReport>;
}

export function startHerd(): Herd {
  const child = fork(join(import.meta.dirname, "support-watch-herd.ts"), { execArgv: ["--conditions=source"] });
  const exited = once(child, "exit");
  const report = async (): Promise<HerdReport> => {
    child.send({ kind: "report" } satisfies HerdOrder);
    const [answer] = (await Promise.race([
      once(child, "message"),
      exited.then(() => Promise.reject(new Error("the herd's process has ended"))),
    ])) as [HerdReport];
    return answer;
  };
  return {
    report,
    watch: (watchers, count, { urls, token, revision }) =>
      void child.send({ kind: "watch", watchers, count, urls, token, revision } satisfies HerdOrder),
    until: async (what, condition, patienceMs = 60_000) => {
      const giveUp = Date.now() + patienceMs;
      for (;;) {
        const last = await report();
        if (condition(last)) return last;
        if (Date.now() > giveUp)
          throw new Error(`in vain: ${what}; ${JSON.stringify({ ...last, problems: last.problems.slice(0, 10) })}`);
        await delay(100);
      }
    },
    [Symbol.asyncDispose]: async () => {
      child.kill("SIGKILL");
      await exited;
    },
  };
}
