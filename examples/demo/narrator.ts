/** Milliseconds from the acknowledged change to its effect. */
export interface Latency {
  readonly change: string;
  readonly effect: string;
  readonly milliseconds: number;
}

const TEXT_WIDTH = 88;

/** Tells the demo's story on standard output, and remembers what was measured for the summary. */
export class Narrator {
  readonly latencies: Latency[] = [];
  readonly #begin = Date.now();
  #step = 0;
  #proofs = 0;
  #title = "the start";

  /** The title of the step being told. */
  get step(): string {
    return this.#title;
  }

  section(title: string, ...intro: string[]): void {
    this.#title = title;
    const heading = `${++this.#step}. ${title} `;
    print("", heading + "─".repeat(Math.max(0, TEXT_WIDTH - heading.length)), ...intro.map((line) => `   ${line}`));
  }

  /** Something happened. */
  say(text: string): void {
    print(`${this.#clock()}  ${text}`);
  }

  /** More about what was said last. */
  detail(...lines: string[]): void {
    for (const line of lines) print(`${" ".repeat(11)}${line}`);
  }

  /** Something was checked, and is as it should be. */
  proven(text: string): void {
    this.#proofs += 1;
    print(`${this.#clock()}  ✓ ${text}`);
  }

  /** A change took effect: told, and kept for the summary. `from` and `to` as Date.now() gives them. */
  measured(change: string, effect: string, from: number, to: number): void {
    // The watch may be faster than the reply to whoever made the change.
    const milliseconds = Math.max(0, Math.round(to - from));
    this.latencies.push({ change, effect, milliseconds });
    this.proven(`${effect}, ${milliseconds} ms after the change was acknowledged`);
  }

  /** How long each change took to take effect, and how much was shown. */
  summary(seconds: number): void {
    const heading = "Summary ";
    print("", heading + "─".repeat(TEXT_WIDTH - heading.length));
    const width = Math.max(...this.latencies.map(({ change }) => change.length));
    for (const { change, effect, milliseconds } of this.latencies) {
      print(`   ${change.padEnd(width)}  ${String(milliseconds).padStart(6)} ms   ${effect}`);
    }
    print(
      "",
      `   ${this.#step} steps, ${this.#proofs} checks passed, ${this.latencies.length} changes measured, ${seconds.toFixed(0)} s.`,
    );
  }

  plain(...lines: string[]): void {
    print(...lines);
  }

  #clock(): string {
    return `${((Date.now() - this.#begin) / 1000).toFixed(2).padStart(7)} s`;
  }
}

function print(...lines: string[]): void {
  for (const line of lines) console.log(line);
}
