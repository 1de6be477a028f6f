import { resolve } from "node:path";

/** Log levels, least to most. */
export const LOG_LEVELS = ["silent", "fatal", "error", "warn", "info", "debug", "trace"] as const;

/** Everything the process can be told, parsed once and never changed. */
export interface Config {
  /** One process with everything in it: PGlite, in-process bus and secret store, loopback only. */
  readonly profile: "embedded";
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** 0 takes any free port. */
  readonly metricsPort: number;
  /** Absolute path. */
  readonly dataDir: string;
  readonly reflection: boolean;
  /** Absolute path of a JSON file, role → token. */
  readonly localTokensFile: string | undefined;
  readonly log: { readonly level: (typeof LOG_LEVELS)[number]; readonly format: "pretty" | "json" };
}

interface Setting<T> {
  readonly default: string;
  readonly help: string;
  /** The value, or what is wrong with the text. */
  readonly parse: (text: string) => { readonly value: T } | { readonly problem: string };
}

const LOOPBACK_HOSTS = ["127.0.0.1", "::1", "localhost"];

const settings = {
  OPS_PROFILE: setting("embedded", "embedded: everything in this process, for trying it and for development", (text) =>
    text === "embedded"
      ? { value: "embedded" as const }
      : { problem: `"${text}" is no profile of this version; leave it unset or set it to embedded` },
  ),
  OPS_HOST: setting(
    "127.0.0.1",
    "address to listen on; the embedded profile takes loopback addresses only",
    oneOf(LOOPBACK_HOSTS),
  ),
  OPS_PORT: setting(
    "3020",
    "port for admins (Connect-JSON) and internal callers (gRPC); 0 takes a free one",
    parsePort,
  ),
  OPS_METRICS_PORT: setting("9464", "port for /metrics, /livez, /readyz and /startupz; 0 takes a free one", parsePort),
  OPS_DATA_DIR: setting(".data", "folder for the database, the secrets and the admin token", (text) =>
    text.includes("\0") ? { problem: "has a NUL character" } : { value: resolve(text) },
  ),
  OPS_REFLECTION: setting("on", "gRPC reflection for mesh callers: on or off", (text) => {
    const parsed = oneOf(["on", "off"] as const)(text);
    return "problem" in parsed ? parsed : { value: parsed.value === "on" };
  }),
  OPS_LOCAL_TOKENS_FILE: setting(
    "",
    'JSON file with more admin tokens, role to token, e.g. {"viewer": "…"}',
    (text) => ({
      value: text === "" ? undefined : resolve(text),
    }),
  ),
  OPS_LOG_LEVEL: setting("info", `one of ${LOG_LEVELS.join(", ")}`, oneOf(LOG_LEVELS)),
  OPS_LOG_FORMAT: setting("pretty", "pretty for people, json for machines", oneOf(["pretty", "json"] as const)),
};

/** Variables of the same prefix that belong to clients, not to the service. */
const CLIENT_VARIABLES = new Set(["OPS_URL", "OPS_NODE", "OPS_TOKEN_FILE"]);

/** Thrown by `parseConfig` with every problem found, one a line. */
export class ConfigError extends Error {
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join("\n"));
    this.name = "ConfigError";
    this.problems = problems;
  }
}

/**
 * The configuration that a set of environment variables stands for.
 * @throws ConfigError that lists all problems at once
 */
export function parseConfig(env: Readonly<Record<string, string | undefined>>): Config {
  const problems: string[] = [];
  const read = <T>(name: keyof typeof settings, of: Setting<T>): T => {
    const parsed = of.parse(env[name] ?? of.default);
    if ("value" in parsed) return parsed.value;
    problems.push(`${name}: ${parsed.problem}`);
    return undefined as T; // never seen: problems make parseConfig throw
  };
  const config: Config = {
    profile: read("OPS_PROFILE", settings.OPS_PROFILE),
    host: read("OPS_HOST", settings.OPS_HOST),
    port: read("OPS_PORT", settings.OPS_PORT),
    metricsPort: read("OPS_METRICS_PORT", settings.OPS_METRICS_PORT),
    dataDir: read("OPS_DATA_DIR", settings.OPS_DATA_DIR),
    reflection: read("OPS_REFLECTION", settings.OPS_REFLECTION),
    localTokensFile: read("OPS_LOCAL_TOKENS_FILE", settings.OPS_LOCAL_TOKENS_FILE),
    log: {
      level: read("OPS_LOG_LEVEL", settings.OPS_LOG_LEVEL),
      format: read("OPS_LOG_FORMAT", settings.OPS_LOG_FORMAT),
    },
  };
  if (config.port !== 0 && config.port === config.metricsPort) {
    problems.push(`OPS_METRICS_PORT: ${config.port} is OPS_PORT already; take another`);
  }
  for (const name of Object.keys(env)) {
    // A misspelt setting that is silently ignored costs somebody a night.
    if (name.startsWith("OPS_") && !Object.hasOwn(settings, name) && !CLIENT_VARIABLES.has(name)) {
      problems.push(`${name}: no such setting in this version; --help lists them`);
    }
  }
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** What `--help` prints about the environment. */
export function configHelp(): string {
  return Object.entries(settings)
    .map(([name, of]) => `  ${name.padEnd(24)}${of.help}${of.default === "" ? "" : ` [${of.default}]`}`)
    .join("\n");
}

function setting<T>(defaultText: string, help: string, parse: Setting<T>["parse"]): Setting<T> {
  return { default: defaultText, help, parse };
}

function oneOf<const T extends string>(values: readonly T[]): Setting<T>["parse"] {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    return value === undefined ? { problem: `"${text}" is not one of ${values.join(", ")}` } : { value };
  };
}

function parsePort(text: string): { value: number } | { problem: string } {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  return port >= 0 && port <= 65_535 ? { value: port } : { problem: `"${text}" is not a port from 0 to 65535` };
}
