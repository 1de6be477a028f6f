import { execFileSync } from "node:child_process";

/** Somebody else's identity, for a server that refuses to run as root. */
export interface SystemUser {
  readonly uid: number;
  readonly gid: number;
}

/** The named user when we are root, who alone can become somebody else; undefined otherwise. */
export function unprivileged(name: string): SystemUser | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (option: "-u" | "-g"): number => Number(execFileSync("id", [option, name], { encoding: "utf8" }));
  return { uid: id("-u"), gid: id("-g") };
}
