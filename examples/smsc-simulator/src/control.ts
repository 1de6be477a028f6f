import { once } from "node:events";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { InvalidAccountError, type AccountChange } from "./account.ts";
import { UnknownAccountError } from "./accounts.ts";
import { checkedAction } from "./actions.ts";
import { InvalidFieldError } from "./fields.ts";
import { perform } from "./perform.ts";
import { checkedScript } from "./script.ts";
import { ScriptPlayer } from "./script-player.ts";
import { UnknownPortError } from "./smpp-port.ts";
import type { Smsc } from "./smsc.ts";

export interface Control {
  readonly port: number;
  close(): Promise<void>;
}

const MAX_BODY_BYTES = 16_384;
const MAX_SCRIPT_BYTES = 1_048_576;
const MAX_MESSAGES = 100_000;

/** The request cannot be answered with 200; `message` goes to the caller and quotes nothing that was sent. */
class ControlError extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/**
 * Serves `smsc` to a person or a test on this machine, as JSON over HTTP on 127.0.0.1; scripts are played by `player`. Rejects
 * when the port is taken.
 */
export async function startControl(smsc: Smsc, port: number, player = new ScriptPlayer(smsc)): Promise<Control> {
  const server = createServer((request, response) => {
    answer(smsc, player, request).then(
      ({ status, body }) => reply(response, status, body),
      (error: unknown) => {
        const status = statusOf(error);
        if (status !== undefined) return reply(response, status, { error: (error as Error).message });
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
      player.stop();
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      server.closeAllConnections();
      await closed;
    },
  };
}

function statusOf(error: unknown): number | undefined {
  if (error instanceof ControlError) return error.status;
  if (error instanceof UnknownAccountError) return 404;
  if (error instanceof InvalidAccountError || error instanceof InvalidFieldError || error instanceof UnknownPortError)
    return 400;
  return error instanceof Error && "code" in error && error.code === "EADDRINUSE" ? 409 : undefined;
}

interface Answer {
  readonly status: number;
  readonly body: object;
}

async function answer(smsc: Smsc, player: ScriptPlayer, request: IncomingMessage): Promise<Answer> {
  refuseWebPages(request);
  const [path = "", query] = (request.url ?? "").split("?", 2);
  const [first, id, ...rest] = path.slice(1).split("/");
  const last = rest.length === 0 ? "" : `/{}/${rest[0]}${rest.length > 1 ? "/{}" : ""}`;
  switch (`${first}${id === undefined ? "" : last || "/{}"}`) {
    case "state":
      allow(request, "GET");
      return ok({ ...smsc.state(), ...(player.state && { script: player.state }) });
    case "actions":
      allow(request, "POST");
      return ok(await act(smsc, await json(request)));
    case "script": {
      allow(request, "POST");
      void player.play(checkedScript(await json(request, MAX_SCRIPT_BYTES)));
      return { status: 202, body: { ...player.state } };
    }
    case "accounts/{}":
      return setAccount(smsc, decoded(id), request);
    case "accounts/{}/disconnect":
      allow(request, "POST");
      return ok({ dropped: smsc.disconnect(decoded(id)) });
    case "accounts/{}/messages":
      allow(request, "GET");
      return ok({ messages: smsc.messages(known(smsc, decoded(id)), page(new URLSearchParams(query))) });
    case "accounts/{}/messages/{}": {
      allow(request, "GET");
      const message = smsc.message(known(smsc, decoded(id)), decoded(rest[1]));
      if (!message) throw new ControlError(404, "the account has no message with this id, or not any more");
      return ok(message);
    }
    default:
      throw new ControlError(404, "there is no such path; --help lists them");
  }
}

function ok(body: object): Answer {
  return { status: 200, body };
}

/** All are checked before the first is done. */
async function act(smsc: Smsc, body: unknown): Promise<object> {
  if (!Array.isArray(body)) return perform(smsc, checkedAction(body));
  const actions = body.map((each: unknown, i) => checkedAction(each, `action ${i + 1}: `));
  const results: object[] = [];
  for (const action of actions) results.push(await perform(smsc, action));
  return results;
}

async function setAccount(smsc: Smsc, systemId: string, request: IncomingMessage): Promise<Answer> {
  if (request.method === "GET") return ok(accountState(smsc, known(smsc, systemId)));
  if (request.method !== "PUT") throw new ControlError(405, "use GET or PUT here");
  const outcome = smsc.setAccount(systemId, await change(request));
  return { status: outcome === "added" ? 201 : 200, body: accountState(smsc, systemId) };
}

function accountState(smsc: Smsc, systemId: string): object {
  return smsc.state().accounts.find((account) => account.systemId === systemId) ?? {};
}

function known(smsc: Smsc, systemId: string): string {
  if (!smsc.state().accounts.some((account) => account.systemId === systemId)) throw new UnknownAccountError();
  return systemId;
}

function page(query: URLSearchParams): { after: number; limit: number } {
  const [after, limit] = [Number(query.get("after") ?? 0), Number(query.get("limit") ?? MAX_MESSAGES)];
  if (!(after >= 0 && limit >= 0)) throw new ControlError(400, "after and limit must be numbers");
  return { after, limit: Math.min(limit, MAX_MESSAGES) };
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

function decoded(segment = ""): string {
  try {
    return decodeURIComponent(segment);
  } catch {
    throw new ControlError(400, "what stands in the path is not valid percent-encoding");
  }
}

async function change(request: IncomingMessage): Promise<AccountChange> {
  const value = await json(request);
  // The fields are checked together with the account they change.
  if (typeof value === "object" && value !== null && !Array.isArray(value)) return value;
  throw new ControlError(400, "the body must be a JSON object with password, maxBinds, systemType or behaviour");
}

async function json(request: IncomingMessage, maxBytes = MAX_BODY_BYTES): Promise<unknown> {
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of request as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > maxBytes) throw new ControlError(413, `the body may have ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString("utf8")) as unknown;
  } catch {
    // The parser's own message would quote the body, which may hold a password.
    throw new ControlError(400, "the body must be JSON");
  }
}

function reply(response: ServerResponse, status: number, body: object): void {
  response.writeHead(status, { "content-type": "application/json", "cache-control": "no-store" });
  response.end(`${JSON.stringify(body, null, 2)}\n`);
}
