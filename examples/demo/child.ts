import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

const root = fileURLToPath(new URL("../..", import.meta.url));

/** A line that a process wrote, and when it was read (as Date.now()). */
export interface Line {
  readonly text: string;
  readonly time: number;
}

export interface ChildOptions {
  /** Relative to the repository. */
  readonly file: string;
  readonly args?: readonly string[];
  /** All of its environment but PATH. */
  readonly env?: Readonly<Record<string, string>>;
  readonly onLine: (name: string, text: string) => void;
  /** Called when it ends though nobody asked it to. */
  readonly onSurprise: (text: string) => void;
}

/** A process of the demo: started by Node directly, as signals don't pass through npm. */
export class Child {
  readonly name: string;
  /** Everything it wrote. */
  readonly lines: Line[] = [];
  /** The exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
  readonly #process: ChildProcess;
  #expected = false;

  constructor(name: string, options: ChildOptions) {
    this.name = name;
    const { file, args = [], env, onLine, onSurprise } = options;
    this.#process = spawn(process.execPath, ["--conditions=source", file, ...args], {
      cwd: root,
      // Not the caller's settings: the demo must not touch a service that is configured there.
      env: { PATH: process.env.PATH, ...env },
      stdio: ["ignore", "pipe", "pipe"],
    });
    for (const stream of [this.#process.stdout, this.#process.stderr]) {
      if (stream) {
        createInterface({ input: stream }).on("line", (text) => {
          this.lines.push({ text, time: Date.now() });
          onLine(name, text);
        });
      }
    }
    this.ended = once(this.#process, "close").then(
      ([code, signal]: (number | string | null)[]) => code ?? signal ?? -1,
    );
    void this.ended.then((how) => {
      if (!this.#expected) onSurprise(`the ${name} ended by itself (${how})`);
    });
  }

  /** The first line at or after number `from` that matches. */
  find(pattern: RegExp, from = 0): Line | undefined {
    return this.lines.slice(from).find(({ text }) => pattern.test(text));
  }

  /** Asks it to stop and resolves with its exit code. */
  stop(): Promise<number | string> {
    return this.#end("SIGTERM");
  }

  /** kill -9. */
  kill(): Promise<number | string> {
    return this.#end("SIGKILL");
  }

  /** Holds it still, as a frozen machine does, until `resume`. */
  pause(): void {
    this.#process.kill("SIGSTOP");
  }

  resume(): void {
    this.#process.kill("SIGCONT");
  }

  #end(signal: NodeJS.Signals): Promise<number | string> {
    this.#expected = true;
    this.#process.kill(signal);
    return this.ended;
  }
}
