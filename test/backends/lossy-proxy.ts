import { once } from "node:events";
import { connect, createServer, type AddressInfo } from "node:net";

/** A way to a server that brings all requests there, and cuts the connection instead of bringing an answer. */
export interface LossyProxy extends AsyncDisposable {
  readonly addr: string;
  readonly answersLost: number;
}

/** @param addr `http://host:port` */
export async function lossyProxy(addr: string): Promise<LossyProxy> {
  const { hostname, port } = new URL(addr);
  let answersLost = 0;
  const server = createServer((client) => {
    const upstream = connect(Number(port), hostname);
    client.pipe(upstream);
    upstream.once("data", () => {
      answersLost++;
      upstream.destroy();
      client.destroy();
    });
    for (const socket of [client, upstream]) socket.on("error", () => {}); // Both ends see the cut.
  });
  await once(server.listen(0, "127.0.0.1"), "listening");
  return {
    addr: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    get answersLost() {
      return answersLost;
    },
    [Symbol.asyncDispose]: async () => {
      server.close();
    },
  };
}
