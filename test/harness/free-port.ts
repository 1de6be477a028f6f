import { once } from "node:events";
import { randomInt } from "node:crypto";
import { createServer } from "node:net";

/** Below the range from which Linux takes the source ports of outgoing connections, so that nobody gets it meanwhile. */
const LOWEST = 20_000;
const HIGHEST = 32_700;

const handedOut = new Set<number>();

/**
 * A port of 127.0.0.1 that was free a moment ago: for servers that must come back on the same one. Within a process it is
 * handed out once.
 * @param span how many ports in a row, the first of which is returned
 */
export async function freePort(span = 1): Promise<number> {
  for (let attempt = 0; attempt < 1_000; attempt++) {
    const first = randomInt(LOWEST, HIGHEST - span);
    const ports = Array.from({ length: span }, (_, index) => first + index);
    if (ports.some((port) => handedOut.has(port))) continue;
    ports.forEach((port) => handedOut.add(port));
    if ((await Promise.all(ports.map(isFree))).every(Boolean)) return first;
  }
  throw new Error(`no free port from ${LOWEST} to ${HIGHEST}`);
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer().listen(port, "127.0.0.1");
  try {
    await once(server, "listening");
  } catch {
    return false; // Somebody else's, which is all we wanted to know.
  }
  server.close();
  await once(server, "close");
  return true;
}
