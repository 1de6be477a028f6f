import { create, toBinary } from "@bufbuild/protobuf";
import { GetOperatorRequestSchema } from "@operator-management/contract/ops/v1/operator_service_pb.js";
import { startBareServer } from "./bare-process.ts";
import { BARE_PATHS } from "./bare-paths.ts";
import type { Figure } from "./figure.ts";
import { call, openSessions } from "./grpc-client.ts";
import { frameOf } from "./grpc-frames.ts";
import { operatorId } from "./sample-operator.ts";
import { OPERATORS, ROUNDS, type Scene } from "./scene.ts";
import { median } from "./statistics.ts";

const CONNECTIONS = 4;
const IN_FLIGHT = 64;
const SECONDS = 4;
const GET_OPERATOR = "/ops.v1.OperatorService/GetOperator";

const requests = Array.from({ length: OPERATORS }, (_, n) =>
  frameOf(toBinary(GetOperatorRequestSchema, create(GetOperatorRequestSchema, { operatorId: operatorId(n) }))),
);

/** GetOperator calls answered per second, beside a server that does nothing but HTTP/2. */
export async function reads({ pod, say }: Scene): Promise<Figure[]> {
  const reply = await sampleReply(pod.service.url);
  const text = reply.toString("base64");
  const bare = await startBareServer({ unary: text, first: text, change: text });
  const service: number[] = [];
  const baseline: number[] = [];
  try {
    await perSecond(bare.url, BARE_PATHS.unary, 1); // compiled code before counting, on both sides
    await perSecond(pod.service.url, GET_OPERATOR, 1);
    for (let round = 1; round <= ROUNDS; round++) {
      service.push(await perSecond(pod.service.url, GET_OPERATOR, SECONDS));
      baseline.push(await perSecond(bare.url, BARE_PATHS.unary, SECONDS));
      say(`round ${round}: service ${service.at(-1)?.toFixed(0)}/s, bare ${baseline.at(-1)?.toFixed(0)}/s`);
    }
  } finally {
    await bare.stop();
  }
  return [
    {
      what: "internal unary reads",
      unit: "/s",
      more: true,
      service: median(service),
      baseline: median(baseline),
      how: `bare node:http2 answering the same ${reply.length} bytes; GetOperator, binary gRPC, ${CONNECTIONS} connections, ${IN_FLIGHT} calls in flight, one client process for both, which may be what limits the bare server`,
    },
  ];
}

async function sampleReply(url: string): Promise<Buffer> {
  const [session] = await openSessions(url, 1);
  const [request] = requests;
  if (session === undefined || request === undefined) throw new Error("no session");
  try {
    return await call(session, GET_OPERATOR, request);
  } finally {
    session.destroy();
  }
}

async function perSecond(url: string, path: string, seconds: number): Promise<number> {
  const sessions = await openSessions(url, CONNECTIONS);
  try {
    const began = performance.now();
    const end = began + seconds * 1_000;
    let count = 0;
    const caller = async (n: number): Promise<void> => {
      const session = sessions[n % CONNECTIONS];
      for (let at = n; session !== undefined && performance.now() < end; at++) {
        await call(session, path, requests[at % OPERATORS] ?? Buffer.alloc(5));
        count++;
      }
    };
    await Promise.all(Array.from({ length: IN_FLIGHT }, (_, n) => caller(n)));
    return (count / (performance.now() - began)) * 1_000;
  } finally {
    for (const session of sessions) session.destroy();
  }
}
