import { readdirSync, readFileSync } from "node:fs";

/**
 * Signals to a process and everything below it. A process group wouldn't do: each backend of PostgreSQL makes a group of its
 * own. Linux only, through /proc.
 */
export function signalTree(root: number, signal: "SIGSTOP" | "SIGCONT" | "SIGKILL"): number[] {
  if (root <= 1) throw new Error(`${root} is no server's process`); // To kill(2) it would mean everybody.
  // Whoever stands still forks no more while we look for its children.
  if (signal === "SIGKILL") send(root, "SIGSTOP");
  else send(root, signal);
  const tree = [root, ...descendants(root)];
  for (const pid of tree) send(pid, signal);
  return tree;
}

/** Whether no process has this id any more; one that only waits for its parent to notice counts as gone. */
export function isGone(pid: number): boolean {
  const stat = readStat(pid);
  return stat === undefined || stat.state === "Z" || stat.state === "X";
}

/** All processes below this one. */
export function descendants(root: number): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    const parent = Number.isInteger(pid) ? readStat(pid)?.parent : undefined;
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), pid]);
  }
  const below = (pid: number): number[] => (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(root);
}

function readStat(pid: number): { state: string; parent: number } | undefined {
  let text: string;
  try {
    text = readFileSync(`/proc/${pid}/stat`, "utf8");
  } catch {
    return undefined; // It ended.
  }
  // The name, in parentheses, may itself hold spaces and parentheses.
  const [state = "", parent = ""] = text.slice(text.lastIndexOf(")") + 2).split(" ");
  return { state, parent: Number(parent) };
}

function send(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(pid, signal);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
