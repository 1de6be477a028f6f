import { resolve } from "node:path";

/** One environment variable: its default, what `--help` says of it, and how its text is read. */
export interface Setting<T> {
  /** The text that stands for the unset variable, by profile; empty: no value. */
  readonly default: string | Readonly<Record<Profile, string>>;
  readonly help: string;
  /** The one profile that knows it; undefined: both do. */
  readonly only?: Profile;
  /** The value, or what is wrong with the text. The problem never quotes a text that may hold a password. */
  readonly parse: (text: string) => { readonly value: T } | { readonly problem: string };
}

/** `embedded`: one process with everything in it. `cluster`: the real servers. */
export const PROFILES = ["embedded", "cluster"] as const;
export type Profile = (typeof PROFILES)[number];

/** Log levels, least to most. */
export const LOG_LEVELS = ["silent", "fatal", "error", "warn", "info", "debug", "trace"] as const;

/** Every variable of the service, in the order of `--help`. */
export const settings = {
  OPS_PROFILE: setting(
    "embedded",
    "embedded: everything in this process, for trying it and for development; cluster: PostgreSQL, Redis, NATS and Vault",
    oneOf(PROFILES),
  ),
  OPS_HOST: setting(
    "127.0.0.1",
    "address to listen on; loopback only, while the only identities are local ones",
    oneOf(["127.0.0.1", "::1", "localhost"] as const),
  ),
  OPS_PORT: setting("3020", "port for admins (Connect-JSON) and internal callers (gRPC); 0 takes a free one", port),
  OPS_METRICS_PORT: setting("9464", "port for /metrics, /livez, /readyz and /startupz; 0 takes a free one", port),
  OPS_REFLECTION: setting({ embedded: "on", cluster: "off" }, "gRPC reflection for mesh callers: on or off", (text) => {
    const parsed = oneOf(["on", "off"] as const)(text);
    return "problem" in parsed ? parsed : { value: parsed.value === "on" };
  }),
  OPS_LOCAL_TOKENS_FILE: setting(
    "",
    'JSON file with admin tokens, role to token, e.g. {"viewer": "…"}',
    optional(path),
  ),
  OPS_LOG_LEVEL: setting("info", `one of ${LOG_LEVELS.join(", ")}`, oneOf(LOG_LEVELS)),
  OPS_LOG_FORMAT: setting(
    { embedded: "pretty", cluster: "json" },
    "pretty for people, json for machines",
    oneOf(["pretty", "json"] as const),
  ),
  OPS_DATA_DIR: embedded(".data", "folder for the database, the secrets and the admin token", path),

  OPS_MESH_IDENTITY: cluster("", "who internal callers are; local: whoever connects over loopback", oneOf(["local"])),
  OPS_POSTGRES_URL: cluster(
    "",
    "the primary, postgres://user@host:5432/database; for migrate and store reset: the owner's user",
    postgresUrl,
  ),
  OPS_POSTGRES_REPLICA_URL: cluster("", "the standby, if there is one", optional(postgresUrl)),
  OPS_POSTGRES_PASSWORD_FILE: cluster("", "file with the password; instead of one in the URL", optional(path)),
  OPS_POSTGRES_PASSWORD_VAULT: cluster(
    "",
    "or its path below the mount of Vault, e.g. ops/service/postgres (field password)",
    optional(secretPath),
  ),
  OPS_NATS_SERVERS: cluster("", "host:port, comma-separated", serverList),
  OPS_NATS_USER: cluster("", "user name, if NATS asks for one", optional(anyText)),
  OPS_NATS_PASSWORD_FILE: cluster("", "file with the user's password", optional(path)),
  OPS_NATS_PASSWORD_VAULT: cluster("", "or its path below the mount of Vault", optional(secretPath)),
  OPS_NATS_STREAMS: cluster(
    "ensure",
    "ensure: make and adapt the streams at start; expect: somebody else does",
    oneOf(["ensure", "expect"] as const),
  ),
  OPS_NATS_REPLICAS: cluster("3", "replicas of each stream: 1, 3 or 5", (text) => {
    const parsed = oneOf(["1", "3", "5"] as const)(text);
    return "problem" in parsed ? parsed : { value: Number(parsed.value) };
  }),
  OPS_REDIS_NODES: cluster(
    "",
    "host:port of some nodes of the Redis Cluster, comma-separated; unset: health reports are not mirrored",
    optional(serverList),
  ),
  OPS_REDIS_USER: cluster("", "user name, if Redis has more than the default one", optional(anyText)),
  OPS_REDIS_PASSWORD_FILE: cluster("", "file with the user's password", optional(path)),
  OPS_REDIS_PASSWORD_VAULT: cluster("", "or its path below the mount of Vault", optional(secretPath)),
  OPS_VAULT_ADDR: cluster("", "http(s)://host:8200", httpUrl),
  OPS_VAULT_MOUNT: cluster("secret", "mount of the KV v2 engine", secretPath),
  OPS_VAULT_TOKEN_FILE: cluster("", "the token as the agent writes it (its file sink)", optional(path)),
  OPS_VAULT_ROLE: cluster("", "without a token file: role of the Kubernetes login", optional(anyText)),
  OPS_VAULT_AUTH_MOUNT: cluster("kubernetes", "mount of the Kubernetes login", secretPath),
  OPS_VAULT_JWT_FILE: cluster(
    "/var/run/secrets/kubernetes.io/serviceaccount/token",
    "the ServiceAccount's token for that login",
    path,
  ),
};

function setting<T>(defaultText: Setting<T>["default"], help: string, parse: Setting<T>["parse"]): Setting<T> {
  return { default: defaultText, help, parse };
}

function embedded<T>(defaultText: string, help: string, parse: Setting<T>["parse"]): Setting<T> {
  return { ...setting(defaultText, help, parse), only: "embedded" };
}

function cluster<T>(defaultText: string, help: string, parse: Setting<T>["parse"]): Setting<T> {
  return { ...setting(defaultText, help, parse), only: "cluster" };
}

function optional<T>(parse: Setting<T>["parse"]): Setting<T | undefined>["parse"] {
  return (text) => (text === "" ? { value: undefined } : parse(text));
}

function oneOf<const T extends string>(values: readonly T[]): Setting<T>["parse"] {
  return (text) => {
    const value = values.find((candidate) => candidate === text);
    if (value !== undefined) return { value };
    return {
      problem: text === "" ? `must be set: ${values.join(" or ")}` : `"${text}" is not one of ${values.join(", ")}`,
    };
  };
}

function port(text: string): { value: number } | { problem: string } {
  const value = /^\d{1,5}$/.test(text) ? Number(text) : -1;
  return value >= 0 && value <= 65_535 ? { value } : { problem: `"${text}" is not a port from 0 to 65535` };
}

function anyText(text: string): { value: string } | { problem: string } {
  return text.includes("\0") ? { problem: "has a NUL character" } : { value: text };
}

/** An absolute path, from one that may be relative to the working directory. */
function path(text: string): { value: string } | { problem: string } {
  return text.includes("\0") ? { problem: "has a NUL character" } : { value: resolve(text) };
}

function secretPath(text: string): { value: string } | { problem: string } {
  return /^[\w-]+(\/[\w-]+)*$/.test(text)
    ? { value: text }
    : { problem: "is no path in Vault: names of letters, digits, - and _, with / between" };
}

function postgresUrl(text: string): { value: string } | { problem: string } {
  if (text === "") return { problem: "must be set: postgres://user@host:5432/database" };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const complete = url !== undefined && url.hostname !== "" && url.username !== "" && url.pathname.length > 1;
  return complete && /^postgres(ql)?:$/.test(url.protocol)
    ? { value: text }
    : { problem: "is no URL of the form postgres://user@host:5432/database" };
}

function httpUrl(text: string): { value: string } | { problem: string } {
  if (text === "") return { problem: "must be set: https://host:8200" };
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const plain = url !== undefined && /^https?:$/.test(url.protocol) && url.username === "" && url.password === "";
  return plain ? { value: text.replace(/\/+$/, "") } : { problem: "is no URL of the form https://host:8200" };
}

function serverList(text: string): { value: readonly string[] } | { problem: string } {
  const servers = text.split(",").map((server) => server.trim());
  const wrong = servers.some((server) => !/^([\w.-]+|\[[0-9a-fA-F:]+\]):\d{1,5}$/.test(server));
  return wrong
    ? { problem: "must be host:port, comma-separated; user and password have settings of their own" }
    : { value: servers };
}
