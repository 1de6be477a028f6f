import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Socket } from "node:net";
import { MessageSplitter, sqlOf, type WireMessage } from "./support-postgres-wire.ts";

/** A client's message within a transaction that may write (one that began with a bare `begin`). */
export interface TransactionStep {
  /** 0 is `begin`. */
  readonly index: number;
  /** The message's type, e.g. `Q`. */
  readonly type: string;
  /** Of the message, or of the last one before it that had any. */
  readonly sql: string;
}

/** Where a transaction is to be hurt, and how. A cut is a reset on both sides. */
export type Injury =
  /** Neither this message nor any later one reaches the server. */
  | { readonly kind: "cut before" }
  /** The message (one that is answered: `Q` or `S`) is obeyed, but only this many bytes of the answer reach the client. */
  | { readonly kind: "cut the answer"; readonly after: number }
  /** The message is sent, and the connection is cut without waiting for an answer: nobody knows whether the server saw it. */
  | { readonly kind: "cut behind" }
  /** The message (`Q` or `S`) is obeyed, but its answer is held back, until the proxy ends or the client goes. Has happened once the server has answered. */
  | { readonly kind: "hold the answer" }
  /** The message is held back, and what comes after it, until the proxy ends or the server closes the connection. */
  | { readonly kind: "hold" };

export interface InflictedInjury {
  readonly step: TransactionStep;
  /** Resolves when the server's side of that connection is closed, by either. */
  readonly ended: Promise<void>;
}

/** A way to PostgreSQL that knows where in a transaction a client is, and can cut it off there. */
export interface CuttingProxy extends AsyncDisposable {
  readonly port: number;
  /** The steps of the last whole transaction that went through. */
  lastTransaction(): readonly TransactionStep[];
  /** Hurts the next transaction that gets to a step that `where` accepts, once. Resolves when it has happened. */
  injure(where: (step: TransactionStep) => boolean, injury: Injury): Promise<InflictedInjury>;
}

interface Plan {
  readonly where: (step: TransactionStep) => boolean;
  readonly injury: Injury;
  readonly inflicted: PromiseWithResolvers<InflictedInjury>;
}

export async function startCuttingProxy(serverPort: number): Promise<CuttingProxy> {
  let plan: Plan | undefined;
  let last: readonly TransactionStep[] = [];
  const open = new Set<Socket>();
  const listener = createServer({ noDelay: true }, (client) => {
    const server = connect({ port: serverPort, host: "127.0.0.1", noDelay: true });
    for (const socket of [client, server]) {
      open.add(socket);
      socket.on("close", () => open.delete(socket));
    }
    proxyConnection(client, server, {
      done: (steps) => (last = steps),
      planFor: (step) => {
        if (plan === undefined || !plan.where(step)) return undefined;
        const taken = plan;
        plan = undefined;
        return taken;
      },
    });
  });
  listener.listen(0, "127.0.0.1");
  await once(listener, "listening");
  return {
    port: (listener.address() as AddressInfo).port,
    lastTransaction: () => last,
    injure: (where, injury) => {
      if (plan !== undefined) throw new Error("the injury before has not been inflicted yet");
      const inflicted = Promise.withResolvers<InflictedInjury>();
      plan = { where, injury, inflicted };
      return inflicted.promise;
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of open) socket.destroy();
      listener.close();
      await once(listener, "close");
    },
  };
}

/** The status that the server names when it is ready outside of a transaction: `I`. */
const OUTSIDE_TRANSACTION = 0x49;

interface ProxyState {
  readonly done: (steps: readonly TransactionStep[]) => void;
  readonly planFor: (step: TransactionStep) => Plan | undefined;
}

function proxyConnection(client: Socket, server: Socket, { done, planFor }: ProxyState): void {
  const ended = once(server, "close").then(() => undefined);
  const fromClient = new MessageSplitter({ opens: true });
  const fromServer = new MessageSplitter({ opens: false });
  let steps: TransactionStep[] | undefined;
  let sql = "";
  let answerLeft = Infinity; // bytes that still reach the client
  let isHeld = false;
  let answerIsHeld: (() => void) | undefined;

  const cut = (): void => {
    client.resetAndDestroy();
    server.resetAndDestroy();
  };
  const nextStep = (message: WireMessage): TransactionStep | undefined => {
    const text = sqlOf(message);
    if (text !== undefined) sql = text;
    if (text === "begin") steps = [];
    if (steps === undefined) return undefined;
    const step = { index: steps.length, type: message.type, sql };
    steps.push(step);
    return step;
  };
  const forward = (message: WireMessage): void => {
    const step = nextStep(message);
    const plan = step && planFor(step);
    if (step === undefined || plan === undefined) return void server.write(message.bytes);
    const { injury, inflicted } = plan;
    switch (injury.kind) {
      case "cut before":
        cut();
        break;
      case "cut behind":
        server.write(message.bytes);
        cut();
        break;
      case "cut the answer":
        answerLeft = injury.after;
        server.write(message.bytes);
        break;
      case "hold the answer":
        answerLeft = 0;
        answerIsHeld = () => inflicted.resolve({ step, ended });
        server.write(message.bytes);
        return;
      case "hold":
        isHeld = true;
        break;
    }
    inflicted.resolve({ step, ended });
  };

  client.on("data", (bytes) => {
    for (const message of fromClient.push(bytes)) if (!isHeld && !server.destroyed) forward(message);
  });
  server.on("data", (bytes) => {
    const mayPass = bytes.subarray(0, answerLeft);
    answerLeft -= bytes.length;
    if (mayPass.length > 0) client.write(mayPass);
    const messages = fromServer.push(bytes);
    const ready = messages.findLast(({ type }) => type === "Z");
    if (ready?.bytes[5] === OUTSIDE_TRANSACTION && steps !== undefined) {
      done(steps);
      steps = undefined;
    }
    // Cut once the whole answer has come, so that the server has done what it was asked; what may pass has passed then.
    if (answerLeft > 0 || ready === undefined) return;
    if (answerIsHeld) answerIsHeld();
    else client.end(() => server.resetAndDestroy());
  });
  for (const [from, to] of [
    [client, server],
    [server, client],
  ] as const) {
    from.on("end", () => to.end());
    from.on("error", () => to.destroy()); // a reset: the other side must not wait for more
    from.on("close", () => to.destroy());
  }
}
