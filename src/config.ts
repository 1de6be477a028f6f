import { PROFILES, settings, type LOG_LEVELS, type Profile, type Setting } from "./settings.ts";

/** Everything the process can be told, parsed once and never changed. */
export type Config = EmbeddedConfig | ClusterConfig;

interface CommonConfig {
  readonly host: string;
  /** 0 takes any free port. */
  readonly port: number;
  /** 0 takes any free port. */
  readonly metricsPort: number;
  readonly reflection: boolean;
  readonly log: { readonly level: (typeof LOG_LEVELS)[number]; readonly format: "pretty" | "json" };
}

/** One process with everything in it: PGlite, in-process bus and secret store, loopback only. */
export interface EmbeddedConfig extends CommonConfig {
  readonly profile: "embedded";
  /** Absolute path. */
  readonly dataDir: string;
  /** Absolute path of a JSON file, role → token; tokens beside the generated one. */
  readonly localTokensFile: string | undefined;
}

/** The real servers behind one of several pods. Nothing is kept on the pod's own disk. */
export interface ClusterConfig extends CommonConfig {
  readonly profile: "cluster";
  /** Absolute path of a JSON file, role → token. */
  readonly localTokensFile: string;
  readonly postgres: PostgresConfig;
  readonly redis: RedisConfig;
  readonly nats: NatsConfig;
  readonly vault: VaultConfig;
}

/** Where a password is; undefined: in the URL, or there is none. */
export type PasswordPlace =
  { readonly from: "file"; readonly path: string } | { readonly from: "vault"; readonly path: string } | undefined;

export interface PostgresConfig {
  /** May hold a password. */
  readonly url: string;
  readonly replicaUrl: string | undefined;
  readonly password: PasswordPlace;
}

export interface RedisConfig {
  /** Undefined: there is none. */
  readonly nodes: readonly string[] | undefined;
  readonly user: string | undefined;
  readonly password: PasswordPlace;
}

export interface NatsConfig {
  readonly servers: readonly string[];
  readonly user: string | undefined;
  readonly password: PasswordPlace;
  readonly streams: "ensure" | "expect";
  readonly replicas: number;
}

export interface VaultConfig {
  readonly addr: string;
  readonly mount: string;
  readonly login:
    { readonly tokenFile: string } | { readonly role: string; readonly authMount: string; readonly jwtFile: string };
}

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

type Environment = Readonly<Record<string, string | undefined>>;

/**
 * The configuration that a set of environment variables stands for.
 * @throws ConfigError that lists all problems at once
 */
export function parseConfig(env: Environment): Config {
  const reader = new SettingsReader(env);
  const config = reader.profile === "cluster" ? clusterConfig(reader) : embeddedConfig(reader);
  if (config.port !== 0 && config.port === config.metricsPort) {
    reader.problems.push(`OPS_METRICS_PORT: ${config.port} is OPS_PORT already; take another`);
  }
  reader.end();
  return config;
}

/** What the commands on a database need: the log, and PostgreSQL. @throws ConfigError */
export function parseDatabaseConfig(env: Environment): Pick<ClusterConfig, "log" | "postgres"> {
  const reader = new SettingsReader({ ...env, OPS_PROFILE: "cluster" });
  const config = { log: commonConfig(reader).log, postgres: postgresConfig(reader) };
  if (config.postgres.password?.from === "vault") {
    reader.problems.push("OPS_POSTGRES_PASSWORD_VAULT: this command takes the password from the URL or a file");
  }
  reader.end();
  return config;
}

/** What `--help` prints about the environment. */
export function configHelp(): string {
  const line = ([name, of]: [string, Setting<unknown>]): string => {
    const text =
      typeof of.default === "string" ? of.default : PROFILES.map((each) => of.default[each as never]).join("/");
    return `  ${name.padEnd(28)}${of.help}${text === "" ? "" : ` [${text}]`}`;
  };
  const all: [string, Setting<unknown>][] = Object.entries(settings);
  return [
    ...all.filter(([, { only }]) => only !== "cluster").map(line),
    "",
    "With OPS_PROFILE=cluster:",
    ...all.filter(([, { only }]) => only === "cluster").map(line),
  ].join("\n");
}

/** Reads settings one by one and keeps what is wrong with them. */
class SettingsReader {
  readonly problems: string[] = [];
  readonly profile: Profile;
  readonly #env: Environment;

  constructor(env: Environment) {
    this.#env = env;
    this.profile = "embedded";
    this.profile = this.read("OPS_PROFILE") ?? "embedded";
  }

  read<N extends keyof typeof settings>(name: N): (typeof settings)[N] extends Setting<infer T> ? T : never;
  read(name: keyof typeof settings): unknown {
    const of: Setting<unknown> = settings[name];
    const text = typeof of.default === "string" ? of.default : of.default[this.profile];
    const parsed = of.parse(this.#env[name] ?? text);
    if ("value" in parsed) return parsed.value;
    this.problems.push(`${name}: ${parsed.problem}`);
    return undefined; // never seen: problems make `end` throw
  }

  /** @throws ConfigError */
  end(): void {
    for (const [name, text] of Object.entries(this.#env)) {
      if (text === undefined || !name.startsWith("OPS_") || CLIENT_VARIABLES.has(name)) continue;
      // A misspelt setting that is silently ignored costs somebody a night.
      const known: Setting<unknown> | undefined = Object.hasOwn(settings, name)
        ? settings[name as keyof typeof settings]
        : undefined;
      if (known === undefined) {
        this.problems.push(`${name}: no such setting in this version; --help lists them`);
      } else if (known.only !== undefined && known.only !== this.profile) {
        this.problems.push(`${name}: belongs to OPS_PROFILE=${known.only}, and this is ${this.profile}`);
      }
    }
    if (this.problems.length > 0) throw new ConfigError(this.problems);
  }
}

function commonConfig(reader: SettingsReader): CommonConfig {
  return {
    host: reader.read("OPS_HOST"),
    port: reader.read("OPS_PORT"),
    metricsPort: reader.read("OPS_METRICS_PORT"),
    reflection: reader.read("OPS_REFLECTION"),
    log: { level: reader.read("OPS_LOG_LEVEL"), format: reader.read("OPS_LOG_FORMAT") },
  };
}

function embeddedConfig(reader: SettingsReader): EmbeddedConfig {
  return {
    profile: "embedded",
    ...commonConfig(reader),
    dataDir: reader.read("OPS_DATA_DIR"),
    localTokensFile: reader.read("OPS_LOCAL_TOKENS_FILE"),
  };
}

function clusterConfig(reader: SettingsReader): ClusterConfig {
  reader.read("OPS_MESH_IDENTITY");
  const localTokensFile = reader.read("OPS_LOCAL_TOKENS_FILE");
  if (localTokensFile === undefined) {
    reader.problems.push(
      "OPS_LOCAL_TOKENS_FILE: must be set: its tokens are the only admin identities of this version",
    );
  }
  return {
    profile: "cluster",
    ...commonConfig(reader),
    localTokensFile: localTokensFile ?? "",
    postgres: postgresConfig(reader),
    redis: {
      nodes: reader.read("OPS_REDIS_NODES"),
      user: reader.read("OPS_REDIS_USER"),
      password: passwordPlace(reader, "OPS_REDIS_PASSWORD_FILE", "OPS_REDIS_PASSWORD_VAULT"),
    },
    nats: {
      servers: reader.read("OPS_NATS_SERVERS"),
      user: reader.read("OPS_NATS_USER"),
      password: passwordPlace(reader, "OPS_NATS_PASSWORD_FILE", "OPS_NATS_PASSWORD_VAULT"),
      streams: reader.read("OPS_NATS_STREAMS"),
      replicas: reader.read("OPS_NATS_REPLICAS"),
    },
    vault: vaultConfig(reader),
  };
}

function postgresConfig(reader: SettingsReader): PostgresConfig {
  return {
    url: reader.read("OPS_POSTGRES_URL"),
    replicaUrl: reader.read("OPS_POSTGRES_REPLICA_URL"),
    password: passwordPlace(reader, "OPS_POSTGRES_PASSWORD_FILE", "OPS_POSTGRES_PASSWORD_VAULT"),
  };
}

function vaultConfig(reader: SettingsReader): VaultConfig {
  const tokenFile = reader.read("OPS_VAULT_TOKEN_FILE");
  const role = reader.read("OPS_VAULT_ROLE");
  if ((tokenFile === undefined) === (role === undefined)) {
    reader.problems.push(
      "OPS_VAULT_TOKEN_FILE: set either it (the agent's sink) or OPS_VAULT_ROLE (Kubernetes login), not both",
    );
  }
  const kubernetes = {
    role: role ?? "",
    authMount: reader.read("OPS_VAULT_AUTH_MOUNT"),
    jwtFile: reader.read("OPS_VAULT_JWT_FILE"),
  };
  return {
    addr: reader.read("OPS_VAULT_ADDR"),
    mount: reader.read("OPS_VAULT_MOUNT"),
    login: tokenFile === undefined ? kubernetes : { tokenFile },
  };
}

function passwordPlace(
  reader: SettingsReader,
  file: `OPS_${"POSTGRES" | "REDIS" | "NATS"}_PASSWORD_FILE`,
  vault: `OPS_${"POSTGRES" | "REDIS" | "NATS"}_PASSWORD_VAULT`,
): PasswordPlace {
  const [filePath, vaultPath] = [reader.read(file), reader.read(vault)];
  if (filePath !== undefined && vaultPath !== undefined) reader.problems.push(`${file}: set it or ${vault}, not both`);
  if (filePath !== undefined) return { from: "file", path: filePath };
  return vaultPath === undefined ? undefined : { from: "vault", path: vaultPath };
}
