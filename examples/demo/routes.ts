import { explainLines, pick } from "@operator-management/client";
import type { RouteResult } from "@operator-management/contract/ops/v1/route_pb.js";
import { stateWords } from "./health.ts";
import type { Stage } from "./stage.ts";
import { expectThat } from "./wait.ts";

/** So many made-up message ids are given to the SDK's `pick`. */
const MESSAGES = 1_000;

/** Where messages to a network go now. */
export interface Routing {
  readonly result: RouteResult;
  /** The operator that comes first; empty: there is no route. */
  readonly first: string;
  /** How many of {@link MESSAGES} each operator would get. */
  readonly shares: ReadonlyMap<string, number>;
}

/** What ResolveRoutes says, as a router asks it. */
export async function routesTo({ mesh, signal }: Stage, network: string): Promise<Routing> {
  const { results } = await mesh.resolveRoutes({ queries: [{ network, explain: true }] }, { signal });
  const [result] = results;
  expectThat(result !== undefined, "ResolveRoutes should answer every query");
  const shares = new Map<string, number>();
  for (let i = 0; i < MESSAGES; i++) {
    const operatorId = pick(result, `message-${i}`)?.operatorId;
    if (operatorId !== undefined) shares.set(operatorId, (shares.get(operatorId) ?? 0) + 1);
  }
  return { result, first: result.routes[0]?.operatorId ?? "", shares };
}

/** Tells where messages to a network go, a line per route. */
export function tellRoutes({ narrator }: Stage, network: string, { result, shares }: Routing): void {
  narrator.say(`routes to ${network}, and how many of ${MESSAGES.toLocaleString("en")} messages each gets:`);
  for (const route of result.routes) {
    const { rank, operatorId, weight, effectiveWeight } = route;
    const weighed = weight === effectiveWeight ? `weight ${weight}` : `weight ${weight}, now ${effectiveWeight}`;
    const share = String(shares.get(operatorId) ?? 0).padStart(5);
    narrator.detail(`${rank}. ${operatorId.padEnd(8)} ${share}   ${stateWords(route)}, ${weighed}`);
  }
  for (const line of explainLines({ ...result, routes: [] }).filter((each) => isOfCandidate(each, result))) {
    narrator.detail(`   ${line}`);
  }
}

/** Those that the network is nothing to are many. */
function isOfCandidate(line: string, { excluded }: RouteResult): boolean {
  return line.startsWith("not ") && !line.includes("NO_COVERAGE") && excluded.length > 0;
}

/** Fails unless messages to the network go to this operator first. */
export async function expectFirst(stage: Stage, network: string, operatorId: string): Promise<Routing> {
  const routing = await routesTo(stage, network);
  expectThat(routing.first === operatorId, `${operatorId} should come first for ${network}, not ${routing.first}`);
  tellRoutes(stage, network, routing);
  return routing;
}
