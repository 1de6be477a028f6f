import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { InvalidAccountError, type AccountChange } from "./accounts.ts";
import type { Smsc } from "./smsc.ts";

export interface Control {
  readonly port: number;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 16_384;

/** The request cannot be answered with 200; `message` goes to the caller and quotes nothing that was sent. */
class ControlError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** Serves `smsc` to a person or a test on this machine, as JSON over HTTP on 127.0.0.1. Rejects when the port is taken. */
export async function startControl(smsc: Smsc, port: number): Promise<Control> {
  const server = createServer((request, response) => {
    answer(smsc, request).then(
      ({ status, body }) => reply(response, status, body),
      (error: unknown) => {
        if (error instanceof ControlError) return reply(response, error.status, { error: error.message });
        if (error instanceof InvalidAccountError) return reply(response, 400, { error: error.message });
        // The caller went away in the middle of its request: nobody is left to tell. Anything else is a bug.
        if (request.complete) throw error;
      },
    );
  });
  server.listen(port, "127.0.0.1");
  await once(server, "listening");
  return {
    port: (server.address() as AddressInfo).port,
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

async function answer(smsc: Smsc, request: IncomingMessage): Promise<{ status: number; body: object }> {
  refuseWebPages(request);
  const path = (request.url ?? "").split("?", 1)[0] ?? "";
  if (path === "/state") {
    allow(request, "GET");
    return { status: 200, body: smsc.state() };
  }
  const [, encodedId, action] = /^\/accounts\/([^/]+)(\/disconnect)?$/.exec(path) ?? [];
  if (encodedId === undefined) {
    throw new ControlError(
      404,
      "there is GET /state, PUT /accounts/{systemId} and POST /accounts/{systemId}/disconnect",
    );
  }
  const systemId = decoded(encodedId);
  if (action) {
    allow(request, "POST");
    const dropped = smsc.disconnect(systemId);
    if (dropped === undefined) throw new ControlError(404, "no account has this systemId; GET /state lists them");
    return { status: 200, body: { dropped } };
  }
  allow(request, "PUT");
  const outcome = smsc.setAccount(systemId, await change(request));
  const body = smsc.state().accounts.find((account) => account.systemId === systemId) ?? {};
  return { status: outcome === "added" ? 201 : 200, body };
}

/** A page in a browser on this machine can reach loopback too; it sends its Origin, or the name it was loaded under. */
function refuseWebPages(request: IncomingMessage): void {
  const host = request.headers.host?.replace(/:\d+$/, "");
  if (request.headers.origin !== undefined || (host !== "localhost" && host !== "127.0.0.1")) {
    throw new ControlError(403, "only programs on this machine may call, with Host localhost or 127.0.0.1");
  }
}

function allow(request: IncomingMessage, method: string): void {
  if (request.method !== method) throw new ControlError(405, `use ${method} here`);
}

function decoded(segment: string): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ControlError(400, "the systemId in the path is not valid percent-encoding");
  }
}

async function change(request: IncomingMessage): Promise<AccountChange> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > MAX_BODY_BYTES) throw new ControlError(413, `the body may have ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  try {
    const value: unknown = JSON.parse(Buffer.concat(chunks).toString("utf8"));
    // The fields are checked together with the account they change.
    if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  } catch {
    // Falls through: the parser's own message would quote the body, which may hold a password.
  }
  throw new ControlError(400, "the body must be a JSON object with password, maxBinds or systemType");
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(body, null, 2)}\n`);
}
