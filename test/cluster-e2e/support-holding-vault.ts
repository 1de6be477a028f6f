import { once } from "node:events";
import { createServer, type IncomingMessage } from "node:http";
import type { AddressInfo } from "node:net";
import { buffer } from "node:stream/consumers";

/** Where a request stops: Vault hasn't seen it, or has obeyed it and its answer is held back. */
export type HoldAt = "before Vault" | "after Vault";

export interface HeldRequest {
  /** `POST /v1/…` */
  readonly line: string;
  /** Lets it go on, to Vault or from it, whoever is left to hear the answer. Resolves to Vault's status. */
  release(): Promise<number>;
}

/** A way to Vault that can stop a request halfway. */
export interface HoldingVault extends AsyncDisposable {
  readonly addr: string;
  /** Stops the next request of this kind, once. Resolves when it has stopped. */
  hold(kind: RegExp, at: HoldAt): Promise<HeldRequest>;
}

interface Plan {
  readonly kind: RegExp;
  readonly at: HoldAt;
  readonly held: PromiseWithResolvers<HeldRequest>;
}

/** @param vaultAddr such as `http://127.0.0.1:8200` */
export async function startHoldingVault(vaultAddr: string): Promise<HoldingVault> {
  let plan: Plan | undefined;
  const planFor = (line: string): Plan | undefined => {
    if (plan === undefined || !plan.kind.test(line)) return undefined;
    const taken = plan;
    plan = undefined;
    return taken;
  };
  const listener = createServer((request, response) => {
    void (async () => {
      const line = `${request.method} ${request.url}`;
      const send = await readRequest(request, vaultAddr);
      const taken = planFor(line);
      const gate = Promise.withResolvers<undefined>();
      const status = Promise.withResolvers<number>();
      const stop = (): Promise<undefined> => {
        const release = (): Promise<number> => {
          gate.resolve(undefined);
          return status.promise;
        };
        taken?.held.resolve({ line, release });
        return gate.promise;
      };
      if (taken?.at === "before Vault") await stop();
      const answer = await send();
      const text = await answer.text();
      status.resolve(answer.status);
      if (taken?.at === "after Vault") await stop();
      response.writeHead(answer.status, { "content-type": "application/json" }).end(text);
    })().catch(() => response.destroy()); // Vault is away, or the client is: the client sees that.
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    addr: `http://127.0.0.1:${(listener.address() as AddressInfo).port}`,
    hold: (kind, at) => {
      if (plan !== undefined) throw new Error("the request before has not come yet");
      plan = { kind, at, held: Promise.withResolvers<HeldRequest>() };
      return plan.held.promise;
    },
    [Symbol.asyncDispose]: async () => {
      listener.closeAllConnections();
      listener.close();
      await once(listener, "close");
    },
  };
}

/** The whole request, to be sent to Vault when it may. */
async function readRequest(request: IncomingMessage, vaultAddr: string): Promise<() => Promise<Response>> {
  const body = await buffer(request);
  const headers = new Headers();
  for (const name of ["x-vault-token", "content-type"]) {
    const value = request.headers[name];
    if (typeof value === "string") headers.set(name, value);
  }
  const { method = "GET", url = "/" } = request;
  return () => fetch(`${vaultAddr}${url}`, { method, headers, body: body.length > 0 ? body : null });
}
