import { fork } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { reapedProcess } from "../test/cluster/reaped.ts";
import type { BareReplies } from "./bare-server.ts";

/** The bare server, in a process of its own. */
export interface BareServer {
  readonly url: string;
  stop(): Promise<void>;
}

export async function startBareServer(replies: BareReplies): Promise<BareServer> {
  const child = fork(join(import.meta.dirname, "bare-server.ts"));
  const exited = once(child, "exit");
  void exited.then(reapedProcess(child.pid ?? -1));
  child.send(replies);
  const [port] = (await once(child, "message")) as [number];
  const stop = async (): Promise<void> => {
    child.kill();
    await exited;
  };
  return { url: `http://127.0.0.1:${port}`, stop };
}
