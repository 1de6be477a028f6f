import { parseArgs } from "node:util";
import { checkedAccount, InvalidAccountError, type Account } from "./accounts.ts";
import type { Timers } from "./session.ts";

export const help = `SMSC simulator: an SMPP 3.4 server to bind to.

  npm run simulator -- --accounts-file accounts.json --port 2775 --control-port 2780

  --port N                  listen for SMPP here; repeat it for several ports; 0 takes a free one (default 2775)
  --host ADDRESS            address to listen on (default 127.0.0.1)
  --accounts-file FILE      JSON: [{"systemId": "acme01", "password": "…", "maxBinds": 2, "systemType": "cp"}]
                            systemType is optional; when given, binds must name it
  --account ID:PASSWORD:N   an account with N binds at most; may be repeated. Command lines are visible to other
                            users of the machine and stay in the shell's history: prefer the file
  --control-port N          HTTP on 127.0.0.1: GET /state
                                               PUT /accounts/ID {"password": "…", "maxBinds": 2}
                                               POST /accounts/ID/disconnect
  --session-init SECONDS    close connections that have not bound by then (default 10)
  --enquire-link SECONDS    send enquire_link after this much silence; 0 = never (default 30)
  --response SECONDS        wait this long for the answer to enquire_link and unbind (default 10)
  --inactivity SECONDS      close sessions that send nothing for this long; 0 = never (default 300)
  --quiet                   print errors only
  --help                    print this
`;

export interface Options {
  readonly help: boolean;
  readonly ports: readonly number[];
  readonly host: string;
  readonly accounts: readonly Account[];
  readonly controlPort: number | undefined;
  readonly timers: Timers;
  readonly quiet: boolean;
}

/** The command line is wrong; the message says how to put it right and quotes no password. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the command line; `readFile` gives an accounts file's text. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[], readFile: (path: string) => string): Options {
  const values = parsed(args);
  const accounts = [
    ...(values["accounts-file"] ?? []).flatMap((path) => accountsOf(path, readFile)),
    ...(values.account ?? []).map(accountOf),
  ];
  const ids = accounts.map(({ systemId }) => systemId);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new UsageError(`the account ${twice} is given twice`);
  return {
    help: values.help ?? false,
    ports: (values.port ?? ["2775"]).map((text) => port("--port", text)),
    host: values.host ?? "127.0.0.1",
    accounts,
    controlPort: values["control-port"] === undefined ? undefined : port("--control-port", values["control-port"]),
    timers: {
      sessionInit: milliseconds("--session-init", values["session-init"] ?? "10", 1),
      enquireLink: milliseconds("--enquire-link", values["enquire-link"] ?? "30", 0),
      response: milliseconds("--response", values.response ?? "10", 1),
      inactivity: milliseconds("--inactivity", values.inactivity ?? "300", 0),
    },
    quiet: values.quiet ?? false,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        port: { type: "string", multiple: true },
        host: { type: "string" },
        "accounts-file": { type: "string", multiple: true },
        account: { type: "string", multiple: true },
        "control-port": { type: "string" },
        "session-init": { type: "string" },
        "enquire-link": { type: "string" },
        response: { type: "string" },
        inactivity: { type: "string" },
        quiet: { type: "boolean" },
        help: { type: "boolean" },
      },
    }).values;
  } catch (cause) {
    // Node's own message quotes the argument, which may be a misplaced account with its password.
    throw new UsageError("an argument is not known or lacks its value; --help lists them", { cause });
  }
}

/** A password may hold colons: the first and the last one separate. */
function accountOf(text: string): Account {
  const [first, last] = [text.indexOf(":"), text.lastIndexOf(":")];
  if (first === last) throw new UsageError("--account must be systemId:password:maxBinds");
  const maxBinds = text.slice(last + 1);
  return checked("--account", {
    systemId: text.slice(0, first),
    password: text.slice(first + 1, last),
    maxBinds: /^\d+$/.test(maxBinds) ? Number(maxBinds) : undefined,
  });
}

function accountsOf(path: string, readFile: (path: string) => string): Account[] {
  let value: unknown;
  try {
    value = JSON.parse(readFile(path));
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "it is not JSON";
    throw new UsageError(`the accounts file ${path} cannot be read: ${code}`, { cause });
  }
  if (!Array.isArray(value)) throw new UsageError(`the accounts file ${path} must hold a JSON array of accounts`);
  return value.map((entry: unknown, i) => checked(`${path}, account ${i + 1}`, entry));
}

function checked(where: string, value: unknown): Account {
  try {
    return checkedAccount(value);
  } catch (cause) {
    if (!(cause instanceof InvalidAccountError)) throw cause;
    throw new UsageError(`${where}: ${cause.message}`, { cause });
  }
}

function port(option: string, text: string): number {
  if (!/^\d{1,5}$/.test(text) || Number(text) > 65_535) throw new UsageError(`${option} must be 0 to 65535`);
  return Number(text);
}

function milliseconds(option: string, text: string, min: number): number {
  const seconds = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(seconds >= min && seconds <= 86_400)) throw new UsageError(`${option} must be ${min} to 86400 seconds`);
  return Math.round(seconds * 1000);
}
