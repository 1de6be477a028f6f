import { randomInt, randomUUID } from "node:crypto";
import { Agent, request } from "node:http";
import { operatorId } from "./sample-operator.ts";

/** One writer: a connection of its own, one call at a time. */
export interface AdminWriter {
  /** UpdateOperator with a new rate; resolves with its reply's text. @throws Error with the reply when it isn't a success */
  update(): Promise<string>;
  close(): void;
}

/** Changes the operator with this number, again and again, as Connect-JSON over HTTP/1.1: what comes through the gateway. */
export function adminWriter(url: string, token: string, number: number): AdminWriter {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 });
  let rate = randomInt(100, 9_000); // no writer begins where another one stopped: a rate that is there already is no change
  const update = (): Promise<string> => {
    rate = rate === 9_999 ? 100 : rate + 1;
    const body = JSON.stringify({
      operatorId: operatorId(number),
      updateMask: "connections.link-0.throughput.maxSegmentsPerSecond",
      operator: { connections: { "link-0": { throughput: { maxSegmentsPerSecond: rate } } } },
      reason: "the vendor's new contract",
      requestId: randomUUID(),
    });
    return call(agent, url, token, body);
  };
  return { update, close: () => agent.destroy() };
}

function call(agent: Agent, url: string, token: string, body: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const sent = request(
    `${url}/v1/admin/operators/ops.v1.OperatorAdminService/UpdateOperator`,
    {
      agent,
      method: "POST",
      headers: {
        authorization: `Bearer ${token}`,
        "content-type": "application/json",
        "content-length": Buffer.byteLength(body),
      },
    },
    (response) => {
      const parts: Buffer[] = [];
      response.on("data", (part: Buffer) => parts.push(part));
      response.on("error", reject);
      response.on("end", () => {
        const reply = Buffer.concat(parts).toString();
        if (response.statusCode === 200) resolve(reply);
        else reject(new Error(`UpdateOperator answered ${response.statusCode}: ${reply}`));
      });
    },
  );
  sent.on("error", reject);
  sent.end(body);
  return promise;
}
