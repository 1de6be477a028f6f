import { parseArgs } from "node:util";
import { checkedAccount, InvalidAccountError, type Account } from "./account.ts";
import { withBehaviour } from "./behaviour-options.ts";
import { InvalidFieldError } from "./fields.ts";
import type { Timers } from "./liveness.ts";
import { checkedScript, type Script } from "./script.ts";

export const help = `SMSC simulator: an SMPP 3.4 server to bind to.

  npm run simulator -- --accounts-file accounts.json --port 2775 --control-port 2780

  --port N                  listen for SMPP here; repeat it for several ports; 0 takes a free one (default 2775)
  --host ADDRESS            address to listen on (default 127.0.0.1)
  --accounts-file FILE      JSON: [{"systemId": "acme01", "password": "…", "maxBinds": 2, "systemType": "cp"}]
                            systemType is optional; when given, binds must name it
  --account ID:PASSWORD:N   an account with N binds at most; may be repeated. Command lines are visible to other
                            users of the machine and stay in the shell's history: prefer the file
  --set ID:PATH=VALUE       how the account behaves, such as acme01:throttle.perSecond=20; may be repeated
  --script FILE             JSON: {"steps": [{"at": 5, "do": "behave", "account": "acme01", "set": {…}}, …]}
  --seed N                  decides what happens by chance, the same in each run (default 1)
  --control-port N          HTTP on 127.0.0.1: GET /state
                                               GET /accounts/ID
                                               PUT /accounts/ID {"password": "…", "maxBinds": 2}
                                               POST /accounts/ID/disconnect
                                               GET /accounts/ID/messages[?after=NUMBER&limit=N]
                                               GET /accounts/ID/messages/MESSAGE-ID
                                               POST /actions {"do": …}, or a list of them
                                               POST /script {"steps": […]}
  --session-init SECONDS    close connections that have not bound by then (default 10)
  --enquire-link SECONDS    send enquire_link after this much silence; 0 = never (default 30)
  --response SECONDS        wait this long for the answer to enquire_link and unbind (default 10)
  --inactivity SECONDS      close sessions that send nothing for this long; 0 = never (default 300)
  --quiet                   print errors only
  --help                    print this

Behaviour, in --set, as "behaviour" of an account, and as "set" of the action behave; times are seconds, shares 0 to 1:

  throttle    perSecond, status (ESME_RTHROTTLED, ESME_RMSGQFUL)
  latency     fixed, jitter: of submit_sm_resp
  errors      a share by command_status: {"ESME_RSYSERR": 0.1, "0x0401": 0.05}
  unanswered  share, taken (true: the message is delivered all the same)
  mute        none, enquire_link, submit_sm, everything
  receipts    delay, jitter, states {"UNDELIV": 0.2, "none": 0.1} (the rest is DELIVRD), format (text, tlv, both),
              over (any, same, other), timeZone, dates (minutes, seconds), always
  ids         response, receipt (hex, HEX, decimal)
  binds       perRole {"receiver": 1}, whenFull (refuse, drop), hold (seconds, true is 120), refuseWith (ESME_RSYSERR, …)
  lock        after, within, for (0: until unlocked), answer (ESME_RINVPASWD, ESME_RINVSYSID, ESME_RBINDFAIL, drop)

Actions, in POST /actions and, with "at" or "after", as steps of a script:

  {"do": "account", "account": ID, "set": {"password": …, "maxBinds": …, "behaviour": …}}
  {"do": "behave", "account": ID, "set": {…}}     changes what is named, null takes it away
  {"do": "normal", "account": ID}                 no faults, no receipts
  {"do": "password", "account": ID, "password": …, "mode": REPLACE | SWITCH_AT (switchAt, lateBy) | BOTH_VALID (oldUntil)}
  {"do": "disconnect", "account": ID}             "role": receiver, …; "how": close or reset; "hold": true keeps the binds taken
  {"do": "release", "account": ID}                frees the binds of dead sessions
  {"do": "unlock", "account": ID}
  {"do": "port", "port": N, "mode": …}            open, refusing, resetting, silent; without port for all
  {"do": "say", "text": …}
`;

export interface Options {
  readonly help: boolean;
  readonly ports: readonly number[];
  readonly host: string;
  readonly accounts: readonly Account[];
  readonly controlPort: number | undefined;
  readonly timers: Timers;
  readonly script: Script | undefined;
  readonly seed: number;
  readonly quiet: boolean;
}

/** The command line is wrong; the message says how to put it right and quotes no password. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** Reads the command line; `readFile` gives an accounts file's text. Throws {@link UsageError}. */
export function parseOptions(args: readonly string[], readFile: (path: string) => string): Options {
  const values = parsed(args);
  const given = [
    ...(values["accounts-file"] ?? []).flatMap((path) => accountsOf(path, readFile)),
    ...(values.account ?? []).map(accountOf),
  ];
  const ids = given.map(({ systemId }) => systemId);
  const twice = ids.find((id, i) => ids.indexOf(id) !== i);
  if (twice !== undefined) throw new UsageError(`the account ${twice} is given twice`);
  const accounts = (values.set ?? []).reduce(
    (before, setting) => inWords("--set", () => withBehaviour(before, setting)),
    given,
  );
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
    script: values.script === undefined ? undefined : scriptOf(values.script, readFile),
    seed: seed(values.seed ?? "1"),
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
        set: { type: "string", multiple: true },
        script: { type: "string" },
        seed: { type: "string" },
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
  const value = jsonOf("accounts", path, readFile);
  if (!Array.isArray(value)) throw new UsageError(`the accounts file ${path} must hold a JSON array of accounts`);
  return value.map((entry: unknown, i) => checked(`${path}, account ${i + 1}`, entry));
}

function scriptOf(path: string, readFile: (path: string) => string): Script {
  const value = jsonOf("script", path, readFile);
  return inWords(path, () => checkedScript(value));
}

function jsonOf(kind: string, path: string, readFile: (path: string) => string): unknown {
  try {
    return JSON.parse(readFile(path)) as unknown;
  } catch (cause) {
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : "it is not JSON";
    throw new UsageError(`the ${kind} file ${path} cannot be read: ${code}`, { cause });
  }
}

function checked(where: string, value: unknown): Account {
  return inWords(where, () => checkedAccount(value));
}

function inWords<T>(where: string, read: () => T): T {
  try {
    return read();
  } catch (cause) {
    if (!(cause instanceof InvalidAccountError || cause instanceof InvalidFieldError)) throw cause;
    throw new UsageError(`${where}: ${cause.message}`, { cause });
  }
}

function seed(text: string): number {
  if (!/^\d{1,9}$/.test(text)) throw new UsageError("--seed must be a whole number of 9 digits at most");
  return Number(text);
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
