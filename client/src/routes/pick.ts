import { sha256 } from "@noble/hashes/sha2.js";
import type { Route, RouteResult } from "@operator-management/contract/ops/v1/route_pb.js";
import { byId } from "./link.ts";

/**
 * The link for one message: by weight among those of the first tier; undefined when there is no route. The key is the message's id, so that
 * all its segments take one link, and a repeated or re-ordered choice falls on the same one for as long as the links stay the same.
 */
export function pick(result: Pick<RouteResult, "routes">, key: string): Route | undefined {
  const [first] = result.routes;
  let best: Route | undefined;
  let bestScore = -Infinity;
  for (const route of result.routes) {
    if (route.tier !== first?.tier) break;
    const score = scoreOf(route, key);
    // The routes of a tier may stand in the order of their specificity, so ties are decided by the ids themselves.
    if (best === undefined || score > bestScore || (score === bestScore && byId(route, best) < 0)) {
      best = route;
      bestScore = score;
    }
  }
  return best;
}

/** Weighted rendezvous: of all keys, each link gets its weight's share, and a link that goes moves only its own. */
function scoreOf(route: Route, key: string): number {
  const hashed = `${key}\0${route.operatorId}/${route.connectionId}`;
  const digest = sha256(new TextEncoder().encode(hashed));
  const words = new DataView(digest.buffer, digest.byteOffset);
  const n = words.getUint32(0) * 2 ** 20 + (words.getUint32(4) >>> 12);
  return -route.effectiveWeight / Math.log((n + 0.5) / 2 ** 52);
}
