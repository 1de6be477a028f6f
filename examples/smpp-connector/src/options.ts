import { hostname } from "node:os";
import { parseArgs } from "node:util";

export const help = `SMPP connector: binds to operators as the Operator Management Service says.

  npm run connector -- --label egress=ams-1

  --label KEY=VALUE           a label of this node, for connections with a node_selector; may be repeated
  --traffic                   send test messages, as many as rate and window of each ENABLED connection allow
  --report-interval SECONDS   between two health reports, 1 to 120 (default 10)
  --help                      print this

Environment:
  OPS_URL    the service's address (default http://127.0.0.1:3020)
  OPS_NODE   this node's name, stable over restarts (default: from the host's name)

SIGTERM or SIGINT unbinds everything; a second one ends the process at once.
`;

export interface Options {
  readonly help: boolean;
  readonly url: string;
  readonly node: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly traffic: boolean;
  /** Between two health reports, in milliseconds. */
  readonly reportIntervalMs: number;
}

/** The command line or the environment is wrong; the message says how to put it right. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

const NAME = /^[a-z][a-z0-9-]{0,62}$/;

/** Throws {@link UsageError}. */
export function parseOptions(args: readonly string[], env: Readonly<Record<string, string | undefined>>): Options {
  const values = parsed(args);
  const url = env.OPS_URL ?? "http://127.0.0.1:3020";
  if (!URL.canParse(url) || !/^https?:$/.test(new URL(url).protocol)) {
    throw new UsageError("OPS_URL must be an address like http://127.0.0.1:3020");
  }
  const node = env.OPS_NODE ?? nameOf(hostname());
  if (!NAME.test(node)) {
    throw new UsageError(
      "OPS_NODE must begin with a lower-case letter and have only a-z, 0-9 and -, at most 63 in all",
    );
  }
  return {
    help: values.help ?? false,
    url,
    node,
    labels: Object.fromEntries((values.label ?? []).map(labelOf)),
    traffic: values.traffic ?? false,
    reportIntervalMs: seconds("--report-interval", values["report-interval"] ?? "10", 1, 120) * 1_000,
  };
}

function parsed(args: readonly string[]) {
  try {
    return parseArgs({
      args: [...args],
      options: {
        label: { type: "string", multiple: true },
        traffic: { type: "boolean" },
        "report-interval": { type: "string" },
        help: { type: "boolean", short: "h" },
      },
    }).values;
  } catch (cause) {
    throw new UsageError("an argument is not known or lacks its value; --help lists them", { cause });
  }
}

function seconds(option: string, text: string, min: number, max: number): number {
  const value = /^\d+(\.\d+)?$/.test(text) ? Number(text) : Number.NaN;
  if (!(value >= min && value <= max)) throw new UsageError(`${option} must be ${min} to ${max} seconds`);
  return value;
}

function labelOf(text: string): [key: string, value: string] {
  const at = text.indexOf("=");
  const key = text.slice(0, at);
  if (at < 0 || !NAME.test(key)) throw new UsageError("--label must be key=value with a key like egress");
  return [key, text.slice(at + 1)];
}

function nameOf(host: string): string {
  const name = host.toLowerCase().replaceAll(/[^a-z0-9-]/g, "-");
  return (/^[a-z]/.test(name) ? name : `node-${name}`).slice(0, 63);
}
